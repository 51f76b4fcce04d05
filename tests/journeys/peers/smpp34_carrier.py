"""A carrier on the server of the library smpp34, for our connector. It shares no code with our own sessions.

The library accepts every bind: it cannot refuse a login. It does not show `validity_period`, and answers no `query_sm`.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import smpp34

from config.run import services

CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Submission:
    """One `submit_sm` as it arrived; `octets` is `short_message`, header included."""

    source: str
    to: str
    octets: bytes
    data_coding: int
    esm_class: int
    registered_delivery: int
    tlvs: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How a `submit_sm` is answered: with a status, after some seconds, or not at all."""

    status: int = smpp34.ESME_ROK
    after: float = 0.0
    is_silent: bool = False


class Smpp34Carrier:
    """A context manager. `decide` is called for each `submit_sm` in the carrier's event loop and must not block."""

    def __init__(self, decide: Callable[[Submission], Verdict] = lambda _submission: Verdict()) -> None:
        self.decide = decide
        self.port = services.free_port()
        self.submissions: list[Submission] = []
        self.ids: list[str] = []
        self._numbers = itertools.count(0xA1B2C3)
        self._receivers: dict[str, smpp34.Esme] = {}
        self._unanswered: list[object] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def receivers(self) -> int:
        """The number of bound sessions that take `deliver_sm`."""
        return len(self._receivers)

    def sent_to(self, number: str) -> list[Submission]:
        return [each for each in self.submissions if each.to == number]

    def deliver(
        self,
        source: str,
        to: str,
        octets: bytes,
        *,
        data_coding: int = 0,
        esm_class: int = 0,
        tlvs: Mapping[int, bytes] | None = None,
    ) -> int:
        """Send a `deliver_sm` to any receiver; return the status of its response."""

        async def sent() -> int:
            esme = next(iter(self._receivers.values()))
            response = await esme.deliver_sm(
                to,
                octets,
                source_addr=source,
                source_addr_ton=1,
                source_addr_npi=1,
                dest_addr_ton=1,
                dest_addr_npi=1,
                data_coding=data_coding,
                esm_class=esm_class,
                tlvs=[smpp34.Tlv(tag, value) for tag, value in (tlvs or {}).items()],
            )
            return response.command_status

        return asyncio.run_coroutine_threadsafe(sent(), self._loop).result(CALL_SECONDS)

    async def _serve(self) -> None:
        server = smpp34.Server("127.0.0.1", self.port, system_id="smpp34")
        await server.start()
        self._is_listening.set()
        stopping = asyncio.ensure_future(self._stopping.wait())
        while not stopping.done():
            event = asyncio.ensure_future(server.next())
            await asyncio.wait({event, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                self._handle(event.result())
            else:
                event.cancel()
        await server.stop()

    def _handle(self, event: object) -> None:
        if isinstance(event, smpp34.Esme):
            if event.can_receive:
                self._receivers[event.session_id] = event
        elif isinstance(event, smpp34.SubmitSmEvent):
            task = self._loop.create_task(self._submit(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif isinstance(event, smpp34.Unbound):
            self._receivers.pop(event.session_id, None)

    async def _submit(self, event: smpp34.SubmitSmEvent) -> None:
        submission = Submission(
            event.source_addr,
            event.destination_addr,
            bytes(event.short_message),
            event.data_coding,
            event.esm_class,
            event.registered_delivery,
            {tlv.tag: bytes(tlv.value) for tlv in event.tlvs},
        )
        verdict = self.decide(submission)
        self.submissions.append(submission)
        if verdict.is_silent:
            self._unanswered.append(event)  # an event that is dropped is answered with ESME_RSYSERR
            return
        await asyncio.sleep(verdict.after)
        if verdict.status:
            event.reject(verdict.status)
        else:
            self.ids.append(f"{next(self._numbers):x}")
            event.accept(self.ids[-1])
