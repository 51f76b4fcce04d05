import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest

from messaging.smpp_connector import links
from messaging.smpp_connector.links import Link, LinkSettings
from providers.models import SmppBind
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Bind, Pdu, ShortMessage, SmppAddress
from providers.smpp.session import Session, SessionLimits
from tests.messaging.smpp_connector.carrier import PASSWORD, SYSTEM_ID, FakeSmsc, running

State = SmppBind.State
RECEIPT = ShortMessage(SmppAddress("1"), SmppAddress("2"), b"id:1 stat:DELIVRD", esm_class=4)


class Watched:
    """A link with the states that it went through."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        password: str = PASSWORD,
        mode: CommandId = CommandId.BIND_TRANSCEIVER,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.states: list[tuple[SmppBind.State, str]] = []
        self.received: list[Pdu] = []
        self.changed = asyncio.Event()
        limits = SessionLimits(response_seconds=1, enquire_link_seconds=60)
        bind = Bind(SYSTEM_ID, password)
        settings = LinkSettings(host=host, port=port, bind=bind, limits=limits, tls=tls)
        self.link = Link(settings, mode, receive=self._receive, late=lambda *_: None, changed=self._note)

    def _receive(self, session: Session, pdu: Pdu) -> None:
        self.received.append(pdu)
        session.respond(pdu, body=b"\0")

    def _note(self, link: Link) -> None:
        self.states.append((link.state, link.error))
        self.changed.set()

    async def until(self, state: SmppBind.State, *, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while [each for each, _ in self.states].count(state) < times:
                self.changed.clear()
                await self.changed.wait()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(links, "FIRST_PAUSE", 0.01)


def test_a_link_binds_receives_and_unbinds() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            watched = Watched(carrier.port)
            watched.link.start()
            await watched.until(State.BOUND)
            assert [(command, bind.system_id) for command, bind in carrier.binds] == [
                (CommandId.BIND_TRANSCEIVER, SYSTEM_ID)
            ]
            assert (await carrier.deliver(RECEIPT)).status == CommandStatus.ROK
            assert len(watched.received) == 1
            await watched.link.stop()
            assert watched.states[-1][0] == State.UNBOUND
            await carrier.until(lambda: carrier.closed == ["the peer has unbound"])

    run(scenario)


def test_a_link_that_is_cut_is_made_again() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            watched = Watched(carrier.port)
            watched.link.start()
            for times in (1, 2, 3):
                await watched.until(State.BOUND, times=times)
                carrier.sessions[0].close("cut")
            await watched.until(State.BOUND, times=4)
            assert (State.DOWN, "the peer closed the connection") in watched.states
            await watched.link.stop()

    run(scenario)


def test_a_carrier_that_is_not_there_is_tried_again_until_it_is() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            port = carrier.port
        watched = Watched(port)
        watched.link.start()
        await watched.until(State.DOWN, times=2)
        assert watched.states[-1][1] == "the carrier cannot be reached"
        assert not watched.link.can_submit
        async with running(FakeSmsc(port=port)):
            await watched.until(State.BOUND)
            await watched.link.stop()

    run(scenario)


def test_a_wrong_password_is_tried_once() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            watched = Watched(carrier.port, password="wrong")
            watched.link.start()
            await watched.until(State.REFUSED)
            assert watched.states[-1][1] == "the carrier refused the bind as transceiver: ESME_RINVPASWD"
            assert "wrong" not in repr(watched.link.__dict__)
            for _ in range(50):  # as many turns of the loop as 50 tries would need
                await asyncio.sleep(0.001)
            assert len(carrier.binds) == 1
            await watched.link.stop()

    run(scenario)


def test_a_bind_that_is_refused_for_another_reason_is_tried_again() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc(bind_status=CommandStatus.RSYSERR)) as carrier:
            watched = Watched(carrier.port)
            watched.link.start()
            await watched.until(State.DOWN, times=2)
            carrier.bind_status = CommandStatus.ROK
            await watched.until(State.BOUND)
            await watched.link.stop()

    run(scenario)


def test_a_carrier_that_never_answers_the_bind_is_left() -> None:
    async def scenario() -> None:
        connections = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        watched = Watched(server.sockets[0].getsockname()[1])
        watched.link.start()
        await watched.until(State.DOWN)
        assert watched.states[-1][1] == "no response to the bind: no response in time"
        await watched.link.stop()
        server.close()
        for writer in connections:
            writer.close()
        await server.wait_closed()

    run(scenario)


def test_a_receiver_sends_nothing() -> None:
    async def scenario() -> None:
        async with running(FakeSmsc()) as carrier:
            watched = Watched(carrier.port, mode=CommandId.BIND_RECEIVER)
            watched.link.start()
            await watched.until(State.BOUND)
            assert not watched.link.can_submit
            assert (await carrier.deliver(RECEIPT)).status == CommandStatus.ROK
            await watched.link.stop()

    run(scenario)


def test_a_link_that_is_stopped_while_it_binds_holds_no_connection() -> None:
    async def scenario() -> None:
        requests: list[tuple[Session, Pdu]] = []

        class Slow(FakeSmsc):
            def on_request(self, session: Session, pdu: Pdu) -> None:
                requests.append((session, pdu))
                self._notify()

        async with running(Slow()) as carrier:
            watched = Watched(carrier.port)
            watched.link.start()
            await carrier.until(lambda: bool(requests))
            stopping = asyncio.create_task(watched.link.stop())
            await asyncio.sleep(0)
            session, bind = requests[0]
            session.respond(bind, body=b"carrier\0")
            await asyncio.wait_for(stopping, 5)
            assert watched.states[-1][0] == State.UNBOUND
            await carrier.until(lambda: len(carrier.closed) == 1)

    run(scenario)


def test_a_host_that_no_name_can_be_is_reported() -> None:
    async def scenario() -> None:
        watched = Watched(1, host="smpp..example.com")
        watched.link.start()
        await watched.until(State.DOWN)
        assert watched.states[-1][1] == "the carrier cannot be reached"
        await watched.link.stop()

    run(scenario)
