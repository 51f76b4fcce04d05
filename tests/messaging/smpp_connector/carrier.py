"""A carrier in the test's own event loop. It answers as it is told, and remembers what it got."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from providers.smpp.constants import BINDS, CommandId, CommandStatus
from providers.smpp.pdu import Bind, Pdu, ShortMessage, bind_response_body, message_id_body
from providers.smpp.session import Session, SessionHandler, SessionLimits

SYSTEM_ID, PASSWORD = "us", "secret"
LIMITS = SessionLimits(window=100, enquire_link_seconds=60, response_seconds=5, bind_seconds=60)

Answer = Callable[["FakeSmsc", Session, Pdu], None]


def accept(carrier: "FakeSmsc", session: Session, pdu: Pdu) -> None:
    session.respond(pdu, body=message_id_body(f"id-{len(carrier.submitted)}"))


def refuse(status: CommandStatus) -> Answer:
    return lambda _carrier, session, pdu: session.respond(pdu, status=status)


def ignore(carrier: "FakeSmsc", session: Session, pdu: Pdu) -> None:
    carrier.unanswered.append((session, pdu))


def hang_up(_carrier: "FakeSmsc", session: Session, _pdu: Pdu) -> None:
    session.close("hung up")


@dataclass
class FakeSmsc(SessionHandler):
    """`answers` are used one after the other, the last one for ever; `bind_status` answers each bind."""

    answers: list[Answer] = field(default_factory=lambda: [accept])
    bind_status: int = CommandStatus.ROK
    submitted: list[ShortMessage] = field(default_factory=list)
    unanswered: list[tuple[Session, Pdu]] = field(default_factory=list)
    binds: list[tuple[CommandId, Bind]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    port: int = 0

    def on_request(self, session: Session, pdu: Pdu) -> None:
        if pdu.command in BINDS:
            self._bind(session, pdu)
        elif pdu.command == CommandId.SUBMIT_SM:
            self.submitted.append(ShortMessage.decode(pdu.body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            answer(self, session, pdu)
        else:
            session.respond(pdu, status=CommandStatus.RINVCMDID)
        self._notify()

    def on_closed(self, session: Session, reason: str) -> None:
        self.closed.append(reason)
        if session in self.sessions:
            self.sessions.remove(session)
        self._notify()

    def _bind(self, session: Session, pdu: Pdu) -> None:
        command, bind = CommandId(pdu.command), Bind.decode(pdu.body)
        self.binds.append((command, bind))
        status = self.bind_status
        if status == CommandStatus.ROK and (bind.system_id, bind.password) != (SYSTEM_ID, PASSWORD):
            status = CommandStatus.RINVPASWD
        session.respond(pdu, status=status, body=bind_response_body("carrier") if not status else b"")
        if not status:
            session.bound = command
            self.sessions.append(session)

    def _notify(self) -> None:
        task = asyncio.ensure_future(self._notify_all())
        task.add_done_callback(lambda done: done.exception())

    async def _notify_all(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(condition)

    async def deliver(self, message: ShortMessage) -> Pdu:
        """The response to a `deliver_sm` through the first session that receives."""
        session = next(each for each in self.sessions if each.bound != CommandId.BIND_TRANSMITTER)
        return await session.request(CommandId.DELIVER_SM, message.encode())


@contextlib.asynccontextmanager
async def running(carrier: FakeSmsc, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeSmsc]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(carrier, LIMITS), "127.0.0.1", carrier.port, ssl=tls)
    carrier.port = server.sockets[0].getsockname()[1]
    try:
        yield carrier
    finally:
        server.close()
        for session in list(carrier.sessions):
            session.close("the carrier stops")
        await carrier.until(lambda: not carrier.sessions)
        await server.wait_closed()
