import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from providers.smpp import session as session_module
from providers.smpp.constants import RESPONSE, CommandId, CommandStatus
from providers.smpp.pdu import HEADER, MAX_PDU_BYTES, Pdu, encode
from providers.smpp.session import NoResponse, NotWritten, Session, SessionHandler, SessionLimits

QUICK = SessionLimits(window=2, response_seconds=5, enquire_link_seconds=60, bind_seconds=60)


@dataclass
class Recorder(SessionHandler):
    """Answers nothing by itself. `reply`: status of the answer to each request."""

    reply: int | None = None
    requests: list[Pdu] = field(default_factory=list)
    late: list[tuple[object, Pdu]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_request(self, session: Session, pdu: Pdu) -> None:
        self.requests.append(pdu)
        self.changed.set()
        if self.reply is not None:
            session.respond(pdu, status=self.reply, body=b"id\0")

    def on_late_response(self, session: Session, context: object, pdu: Pdu) -> None:
        self.late.append((context, pdu))
        self.changed.set()

    def on_closed(self, session: Session, reason: str) -> None:
        self.reasons.append(reason)
        self.closed.set()
        self.changed.set()


async def until(handler: Recorder, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            handler.changed.clear()
            await handler.changed.wait()


@dataclass
class Peer:
    """The other side, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> Pdu:
        async with asyncio.timeout(5):
            length, command, status, sequence = HEADER.unpack(await self.reader.readexactly(16))
            return Pdu(command, status, sequence, await self.reader.readexactly(length - 16))

    def write(self, command: int, body: bytes = b"", *, status: int = 0, sequence: int = 1) -> None:
        self.writer.write(encode(command, body, status=status, sequence=sequence))

    def answer(self, pdu: Pdu, *, status: int = 0, body: bytes = b"") -> None:
        self.write(pdu.command | RESPONSE, body, status=status, sequence=pdu.sequence)

    async def ends(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()


@asynccontextmanager
async def connected(limits: SessionLimits, **options: Any) -> AsyncIterator[tuple[Session, Recorder, Peer]]:
    loop = asyncio.get_running_loop()
    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peers.put(Peer(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    handler = Recorder(**options)
    host, port = server.sockets[0].getsockname()[:2]
    _, session = await loop.create_connection(lambda: Session(handler, limits), host, port)
    peer = await peers.get()
    try:
        yield session, handler, peer
    finally:
        session.close("the test ends")
        peer.writer.close()
        async with asyncio.timeout(5):
            await handler.closed.wait()
        server.close()
        await server.wait_closed()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_request_gets_its_response_whatever_the_order() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):
            first = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"one"))
            second = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"two"))
            one, two = await peer.read(), await peer.read()
            peer.answer(two, body=b"2\0")
            peer.answer(one, status=0x58)
            assert ((await first).status, (await second).body) == (0x58, b"2\0")
            assert session.in_flight == 0

    run(scenario)


def test_the_window_is_never_exceeded_and_a_place_is_waited_for() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):
            tasks = [asyncio.create_task(session.request(CommandId.SUBMIT_SM, bytes([n]), wait=5)) for n in range(20)]
            for _ in range(20):
                pdu = await peer.read()
                assert session.in_flight <= 2
                peer.answer(pdu)
            assert all(response.status == 0 for response in await asyncio.gather(*tasks))

    run(scenario)


def test_without_a_place_in_time_nothing_is_written() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):
            open_ones = [asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"x")) for _ in range(2)]
            pdus = [await peer.read() for _ in open_ones]
            written: list[bool] = []

            async def note() -> None:
                written.append(True)

            for wait in (0.0, 0.01):
                with pytest.raises(NotWritten, match="window is full"):
                    await session.request(CommandId.SUBMIT_SM, b"y", wait=wait, before_write=note)
            assert written == []
            for pdu in pdus:
                peer.answer(pdu)
            await asyncio.gather(*open_ones)
            assert (await _answered(session, peer)).status == 0

    run(scenario)


def test_a_session_that_closes_while_the_write_is_announced_has_written_nothing() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):

            async def close() -> None:
                session.close("stopped")

            with pytest.raises(NotWritten):
                await session.request(CommandId.SUBMIT_SM, b"x", before_write=close)
            assert (session.in_flight, await peer.ends()) == (0, b"")

    run(scenario)


async def _answered(session: Session, peer: Peer) -> Pdu:
    task = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"again", wait=5))
    pdu = await peer.read()
    assert pdu.body == b"again"
    peer.answer(pdu)
    return await task


def test_an_unanswered_request_is_given_up_frees_the_window_and_its_late_response_is_told() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            task = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"x", timeout=0.01, context="mine"))
            pdu = await peer.read()
            with pytest.raises(NoResponse):
                await task
            assert session.in_flight == 0
            peer.answer(pdu, body=b"77\0")
            await until(handler, lambda: bool(handler.late))
            assert [(context, late.body) for context, late in handler.late] == [("mine", b"77\0")]

    run(scenario)


def test_the_response_to_a_canceled_request_is_told_too() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            task = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"x", context=7))
            pdu = await peer.read()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert session.in_flight == 1
            peer.answer(pdu)
            await until(handler, lambda: bool(handler.late))
            assert (handler.late[0][0], session.in_flight) == (7, 0)

    run(scenario)


def test_requests_that_were_written_are_unanswered_when_the_link_dies_and_others_were_not_written() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            tasks = [asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"x", wait=5)) for _ in range(3)]
            await peer.read()
            await peer.read()
            peer.writer.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [NoResponse, NoResponse, NotWritten]
            with pytest.raises(NotWritten):
                await session.request(CommandId.SUBMIT_SM, b"x")
            assert handler.reasons == ["the peer closed the connection"]

    run(scenario)


def test_enquire_link_and_unknown_commands_are_answered() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (_, handler, peer):
            peer.write(CommandId.ENQUIRE_LINK, sequence=5)
            assert await peer.read() == Pdu(CommandId.ENQUIRE_LINK | RESPONSE, 0, 5)
            peer.write(0x0000_0777, b"??", sequence=6)
            assert await peer.read() == Pdu(CommandId.GENERIC_NACK, CommandStatus.RINVCMDID, 6)
            peer.write(CommandId.ALERT_NOTIFICATION, sequence=7)
            peer.write(CommandId.ENQUIRE_LINK, sequence=8)
            assert (await peer.read()).sequence == 8
            assert handler.requests == []

    run(scenario)


def test_a_silent_peer_is_asked_and_the_link_ends_without_an_answer() -> None:
    limits = SessionLimits(enquire_link_seconds=0.02, response_seconds=0.5, bind_seconds=60)

    async def scenario() -> None:
        async with connected(limits) as (session, handler, peer):
            first = await peer.read()
            assert first.command == CommandId.ENQUIRE_LINK
            peer.answer(first)
            second = await peer.read()  # not answered
            assert second.command == CommandId.ENQUIRE_LINK
            await until(handler, lambda: bool(handler.reasons))
            assert handler.reasons == ["no response to enquire_link"]
            assert not session.is_open

    run(scenario)


def test_a_connection_without_a_bind_ends() -> None:
    async def scenario() -> None:
        async with connected(SessionLimits(bind_seconds=0.02)) as (_, handler, peer):
            assert await peer.ends() == b""
            await until(handler, lambda: bool(handler.reasons))
            assert handler.reasons == ["no bind in time"]

    run(scenario)


def test_unbind_waits_for_open_requests_of_both_sides_and_refuses_new_ones() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            request = asyncio.create_task(session.request(CommandId.SUBMIT_SM, b"x"))
            submitted = await peer.read()
            peer.write(CommandId.DELIVER_SM, b"receipt", sequence=3)
            await until(handler, lambda: bool(handler.requests))
            unbind = asyncio.create_task(session.unbind())
            await asyncio.sleep(0)
            with pytest.raises(NotWritten):
                await session.request(CommandId.SUBMIT_SM, b"y", wait=5)
            peer.answer(submitted, body=b"1\0")
            assert (await request).body == b"1\0"
            session.respond(handler.requests[0])
            assert (await peer.read()).command == CommandId.DELIVER_SM | RESPONSE
            last = await peer.read()
            assert last.command == CommandId.UNBIND
            peer.write(CommandId.DELIVER_SM, b"one more", sequence=4)  # while unbind_resp is awaited
            await until(handler, lambda: len(handler.requests) == 2)
            session.respond(handler.requests[1])
            assert (await peer.read()).sequence == 4
            peer.answer(last)
            await unbind
            await until(handler, lambda: bool(handler.reasons))
            assert handler.reasons == ["unbound"]

    run(scenario)


def test_the_peer_s_unbind_is_answered_after_what_is_open() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            peer.write(CommandId.SUBMIT_SM, b"x", sequence=1)
            peer.write(CommandId.UNBIND, sequence=2)
            await until(handler, lambda: bool(handler.requests))
            session.respond(handler.requests[0], body=b"id\0")
            assert await peer.read() == Pdu(CommandId.SUBMIT_SM | RESPONSE, 0, 1, b"id\0")
            assert await peer.read() == Pdu(CommandId.UNBIND | RESPONSE, 0, 2)
            assert await peer.ends() == b""

    run(scenario)


@pytest.mark.parametrize("length", [0, 15, MAX_PDU_BYTES + 1, 2**31, 2**32 - 1])
def test_an_impossible_length_ends_the_connection_and_nothing_is_kept(length: int) -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (_, handler, peer):
            peer.writer.write(struct.pack(">LLLL", length, CommandId.SUBMIT_SM, 0, 9) + b"x" * 100_000)
            assert await peer.read() == Pdu(CommandId.GENERIC_NACK, CommandStatus.RINVCMDLEN, 9)
            await until(handler, lambda: bool(handler.reasons))
            assert handler.requests == []

    run(scenario)


def test_pdus_may_arrive_in_any_pieces() -> None:
    async def scenario() -> None:
        async with connected(QUICK, reply=0) as (_, handler, peer):
            data = encode(CommandId.DELIVER_SM, b"a", sequence=1) + encode(
                CommandId.DELIVER_SM, b"bc" * 30_000, sequence=2
            )
            for at in range(0, len(data), 7_001):
                peer.writer.write(data[at : at + 7_001])
                await peer.writer.drain()
            await until(handler, lambda: len(handler.requests) == 2)
            assert [len(pdu.body) for pdu in handler.requests] == [1, 60_000]

    run(scenario)


def test_reading_pauses_while_too_many_requests_are_unanswered() -> None:
    async def scenario() -> None:
        async with connected(SessionLimits(max_unanswered=3, bind_seconds=60)) as (session, handler, peer):
            for number in range(400):
                peer.write(CommandId.DELIVER_SM, b"x" * 60_000, sequence=number + 1)
            await until(handler, lambda: len(handler.requests) >= 3)
            for _ in range(20):
                await asyncio.sleep(0)
            # What one read of the socket has brought is taken; no more is read.
            paused_at = len(handler.requests)
            assert paused_at < 20
            answered = 0
            async with asyncio.timeout(10):
                while answered < 400:
                    for pdu in handler.requests[answered:]:
                        session.respond(pdu)
                        answered += 1
                    handler.changed.clear()
                    if len(handler.requests) == answered < 400:
                        await handler.changed.wait()
            assert [pdu.sequence for pdu in handler.requests] == list(range(1, 401))

    run(scenario)


def test_a_peer_that_has_closed_its_side_gets_no_more_requests_and_does_not_keep_the_connection(monkeypatch) -> None:
    monkeypatch.setattr(session_module, "CLOSING_SECONDS", 0.05)

    async def scenario() -> None:
        async with connected(SessionLimits(window=10_000, response_seconds=5)) as (session, handler, peer):
            tasks = []
            while session._transport.get_write_buffer_size() == 0:  # the peer does not read
                tasks.append(asyncio.create_task(session.request(CommandId.SUBMIT_SM, bytes(10_000))))
                await asyncio.sleep(0)
            peer.writer.write_eof()
            async with asyncio.timeout(5):
                while session.is_open:  # noqa: ASYNC110 (the session tells nobody before it has ended)
                    await asyncio.sleep(0)
            with pytest.raises(NotWritten):
                await session.request(CommandId.SUBMIT_SM, b"never written")
            async with asyncio.timeout(5):
                await handler.closed.wait()
            assert handler.reasons == ["the peer closed the connection"]
            await asyncio.gather(*tasks, return_exceptions=True)

    run(scenario)


def test_nothing_more_is_kept_for_a_peer_that_does_not_read() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):
            asked = 0
            session._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            async with asyncio.timeout(15):
                while session._is_reading:
                    peer.writer.write(encode(CommandId.ENQUIRE_LINK, sequence=1) * 1024)
                    asked += 1024
                    await asyncio.sleep(0)
                    assert session._transport.get_write_buffer_size() < 4 * session_module.MAX_UNTAKEN
            assert session.is_open
            async with asyncio.timeout(15):
                await peer.reader.readexactly(asked * HEADER.size)  # now it reads, and gets everything
            assert session._is_reading

    run(scenario)


def test_a_repeated_unbind_costs_nothing() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, handler, peer):
            peer.write(CommandId.SUBMIT_SM)
            await until(handler, lambda: len(handler.requests) == 1)
            before = len(asyncio.all_tasks())
            for _ in range(1000):
                peer.write(CommandId.UNBIND)
            peer.write(CommandId.DELIVER_SM)
            await until(handler, lambda: len(handler.requests) == 2)
            assert len(asyncio.all_tasks()) <= before + 1
            for request in handler.requests:
                session.respond(request)
            assert (await peer.ends()).count(encode(CommandId.UNBIND | RESPONSE, sequence=1)) == 1

    run(scenario)


def test_a_stranger_sends_few_pdus() -> None:
    async def scenario() -> None:
        limits = SessionLimits(before_bind=3, enquire_link_seconds=60, bind_seconds=60)
        async with connected(limits) as (_, handler, peer):
            for _ in range(5):
                peer.write(CommandId.ENQUIRE_LINK)
            assert len(await peer.ends()) == 3 * HEADER.size
            await until(handler, lambda: handler.reasons == ["too many PDUs before a bind"])
        async with connected(limits, reply=0) as (session, handler, peer):
            session.bound = CommandId.BIND_TRANSCEIVER
            for _ in range(5):
                peer.write(CommandId.ENQUIRE_LINK)
                assert (await peer.read()).command == CommandId.ENQUIRE_LINK | RESPONSE

    run(scenario)


def test_a_link_is_not_ended_for_silence_while_it_is_not_read() -> None:
    async def scenario() -> None:
        limits = SessionLimits(max_unanswered=2, enquire_link_seconds=0.02, response_seconds=0.02, bind_seconds=60)
        async with connected(limits) as (session, handler, peer):
            for sequence in (1, 2):
                peer.write(CommandId.SUBMIT_SM, sequence=sequence)
            await until(handler, lambda: len(handler.requests) == 2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(handler.closed.wait(), 0.2)
            for request in handler.requests:
                session.respond(request)
            await until(handler, lambda: handler.reasons == ["no response to enquire_link"])

    run(scenario)


def test_a_generic_nack_without_a_status_accepts_nothing() -> None:
    async def scenario() -> None:
        async with connected(QUICK) as (session, _, peer):
            request = asyncio.create_task(session.request(CommandId.SUBMIT_SM))
            peer.write(CommandId.GENERIC_NACK, sequence=(await peer.read()).sequence)
            assert (await request).status == CommandStatus.RUNKNOWNERR

    run(scenario)
