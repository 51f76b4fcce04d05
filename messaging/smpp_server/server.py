"""The SMPP server: clients bind, submit texts, ask for and cancel them, and get receipts and people's texts."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.utils import timezone

from messaging import notifier
from messaging.services.errors import DomainError, InvalidField
from messaging.services.gateway import deliveries, lookups, parts, times
from messaging.services.gateway.lookups import Incomplete
from messaging.services.webhooks import gateway_receipts
from messaging.smpp_server import statuses, submit_pdus
from messaging.smpp_server.batches import BatchSubmitter, SubmitResult
from messaging.smpp_server.clients import RENEW_SECONDS, Client, Clients
from messaging.smpp_server.courier import Courier
from messaging.smpp_server.deliver_pdus import DeliveredPart
from messaging.smpp_server.jobs import in_database, log_failure
from messaging.smpp_server.tls_entrance import TlsEntrance
from providers.smpp.constants import BINDS, CommandId, CommandStatus, MessageState
from providers.smpp.pdu import (
    Bind,
    CancelRequest,
    MalformedPdu,
    Pdu,
    QueryRequest,
    QueryResult,
    ShortMessage,
    bind_response_body,
    message_id_body,
)
from providers.smpp.session import Session, SessionHandler, SessionLimits

logger = logging.getLogger(__name__)

SYSTEM_ID = "Switchboard"
DATABASE_THREADS = 4
MAX_CONNECTIONS = 1_000
# Of one address, so that a stranger cannot take the places of clients.
MAX_UNBOUND_CONNECTIONS = 50
SWEEP_SECONDS = 15.0
# A client needs one PDU to bind; who sends more than these is none.
LIMITS = SessionLimits(before_bind=50)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`limits` and the numbers of connections are for tests."""

    host: str
    port: int
    tls_port: int | None = None
    tls: ssl.SSLContext | None = None
    limits: SessionLimits = LIMITS
    max_connections: int = MAX_CONNECTIONS
    max_unbound_connections: int = MAX_UNBOUND_CONNECTIONS


class SmppServer(SessionHandler):
    """One process's server. `run` serves until `stop` is set."""

    def __init__(self, options: ServerOptions, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self.addresses: list[tuple[str, int]] = []
        self._options = options
        self._clock = clock
        self._executor = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="smpp-database")
        self._submitter = BatchSubmitter(self._executor, clock=clock)
        self._clients = Clients(self._executor, clock=clock)
        self._courier = Courier(self._executor, receivers=self._clients.receivers, clock=clock)
        self._connections: set[Session] = set()
        self._handshakes: set[TlsEntrance] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def run(self, stop: asyncio.Event, *, ready: Callable[[], None] = lambda: None) -> None:
        """Listen, serve, and on `stop` finish what is open. Raises `OSError` if a port cannot be used."""
        listeners = await self._listen()
        self.addresses = [listener.sockets[0].getsockname()[:2] for listener in listeners]
        courier = asyncio.create_task(self._courier.run())
        keepers = [
            asyncio.create_task(self._repeat(RENEW_SECONDS, self._clients.renew)),
            asyncio.create_task(self._repeat(SWEEP_SECONDS, self._sweep)),
        ]
        ready()
        await stop.wait()
        self._is_stopping = True
        for listener in listeners:
            listener.close()
        self._courier.stop()
        for entrance in list(self._handshakes):
            entrance.cancel()
        for session in list(self._connections):
            if session.bound is None and not self._clients.is_binding(session):
                session.close("the server stops")
        await self._unbind_all()
        await courier
        await self._courier.finish()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._options.limits.response_seconds)
        self._clients.close()
        self._executor.shutdown()

    async def _unbind_all(self) -> None:
        """Clients that do not answer are left, so that there is time to save what the others have acknowledged."""
        sessions = list(self._connections)
        if sessions:
            ends = [asyncio.ensure_future(session.unbind()) for session in sessions]
            await asyncio.wait(ends, timeout=1.5 * self._options.limits.response_seconds)
            for session in sessions:
                session.close("the server stops")
            await asyncio.wait(ends)

    async def _listen(self) -> list[asyncio.Server]:
        loop, options = asyncio.get_running_loop(), self._options
        listeners = [await loop.create_server(self._connection, options.host, options.port)]
        if options.tls is not None:
            entrance = partial(
                TlsEntrance,
                options.tls,
                seconds=options.limits.bind_seconds,
                connection=self._connection,
                admit=self._admit_handshake,
                left=self._handshakes.discard,
            )
            listeners.append(await loop.create_server(entrance, options.host, options.tls_port or 0))
        return listeners

    def _connection(self) -> "GatewayConnection":
        return GatewayConnection(self, self._options.limits)

    async def _repeat(self, seconds: float, job: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await job()
            except Exception as error:  # noqa: BLE001 (any fault: the next turn repeats it)
                logger.error("the SMPP server's %s failed (%s)", job.__name__.strip("_"), type(error).__name__)

    async def _sweep(self) -> None:
        now = self._clock()
        await in_database(self._executor, partial(parts.give_up, now=now))
        await in_database(self._executor, partial(deliveries.sweep, now=now))

    # --- connections ----------------------------------------------------------------------------------------------------

    def admit(self, session: Session) -> bool:
        """False if there are too many connections, or the server stops."""
        if not self._has_place(session.peer):
            return False
        self._connections.add(session)
        return True

    def _admit_handshake(self, entrance: TlsEntrance) -> bool:
        if not self._has_place(entrance.peer):
            return False
        self._handshakes.add(entrance)
        return True

    def _has_place(self, peer: str) -> bool:
        if self._is_stopping or len(self._connections) + len(self._handshakes) >= self._options.max_connections:
            return False
        unbound = sum(each.bound is None and each.peer == peer for each in self._connections)
        handshakes = sum(each.peer == peer for each in self._handshakes)
        return unbound + handshakes < self._options.max_unbound_connections

    def on_closed(self, session: Session, reason: str) -> None:
        self._connections.discard(session)
        self._start(self._clients.remove(session, reason))

    def on_late_response(self, session: Session, context: object, pdu: Pdu) -> None:
        if isinstance(context, DeliveredPart):
            self._courier.late_response(context, pdu)

    # --- requests -------------------------------------------------------------------------------------------------------

    def on_request(self, session: Session, pdu: Pdu) -> None:
        try:
            self._serve(session, pdu)
        except MalformedPdu as fault:
            session.respond(pdu, status=fault.status)
            if session.bound is None:
                session.close("a malformed bind")

    def _serve(self, session: Session, pdu: Pdu) -> None:
        client = self._clients.of(session)
        if pdu.command in BINDS:
            self._bind(session, pdu)
        elif client is None:
            session.respond(pdu, status=CommandStatus.RINVBNDSTS)
        elif pdu.command == CommandId.SUBMIT_SM:
            self._submit(client, pdu)
        elif pdu.command == CommandId.QUERY_SM:
            query = QueryRequest.decode(pdu.body)
            self._start(self._answer(client, pdu, partial(self._query, client, query.message_id)))
        elif pdu.command == CommandId.CANCEL_SM:
            cancel = CancelRequest.decode(pdu.body)
            self._start(self._answer(client, pdu, partial(self._cancel, client, cancel.message_id)))
        else:
            session.respond(pdu, status=CommandStatus.RINVCMDID)

    def _bind(self, session: Session, pdu: Pdu) -> None:
        if session.bound is not None or self._clients.is_binding(session):
            session.respond(pdu, status=CommandStatus.RALYBND)
        elif self._is_stopping:
            session.respond(pdu, status=statuses.UNAVAILABLE)
        else:
            self._start(self._log_in(session, pdu, Bind.decode(pdu.body)))

    async def _log_in(self, session: Session, pdu: Pdu, request: Bind) -> None:
        status = await self._clients.bind(session, CommandId(pdu.command), request)
        session.respond(pdu, status=status, body=bind_response_body(SYSTEM_ID))
        if status != CommandStatus.ROK:
            session.close("the bind was refused")
        self._courier.wake()

    def _submit(self, client: Client, pdu: Pdu) -> None:
        if not client.may_submit:
            client.session.respond(pdu, status=CommandStatus.RINVBNDSTS)
            return
        if self._is_stopping:
            client.session.respond(pdu, status=statuses.UNAVAILABLE)
            return
        message = ShortMessage.decode(pdu.body)
        try:
            submission = submit_pdus.read(message, credential_id=client.credential_id, now=self._clock())
        except InvalidField as refusal:
            client.session.respond(pdu, status=statuses.of_submission(refusal))
            return
        self._submitter.add(client.owner, submission, partial(_answer_submission, client.session, pdu))

    def _query(self, client: Client, told_id: str) -> bytes:
        try:
            message = lookups.find(owner=client.owner, told_id=told_id)
        except Incomplete:
            return QueryResult(told_id, "", MessageState.ACCEPTED).encode()
        state = gateway_receipts.state_of(message) or gateway_receipts.OPEN.get(message.status, MessageState.ENROUTE)
        ended = gateway_receipts.state_of(message) is not None
        final_date = times.write(message.delivered_at or message.updated_at) if ended else ""
        return QueryResult(told_id, final_date, state, int(gateway_receipts.error_of(message)) if ended else 0).encode()

    def _cancel(self, client: Client, told_id: str) -> bytes:
        lookups.cancel_own(owner=client.owner, told_id=told_id, now=self._clock())
        notifier.notify_webhooks()
        return b""

    async def _answer(self, client: Client, pdu: Pdu, function: Callable[[], bytes]) -> None:
        table, otherwise = (
            (statuses.OF_QUERY, CommandStatus.RQUERYFAIL)
            if pdu.command == CommandId.QUERY_SM
            else (statuses.OF_CANCEL, CommandStatus.RCANCELFAIL)
        )
        body, status = b"", CommandStatus.ROK
        try:
            async with client.turn:
                body = await in_database(self._executor, function)
        except DomainError as refusal:
            status = table.get(refusal.code, otherwise)
        except Exception as error:  # noqa: BLE001 (any fault: the client repeats)
            logger.error("query or cancel failed (%s)", type(error).__name__)
            status = statuses.UNAVAILABLE
        client.session.respond(pdu, status=status, body=body)

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(log_failure)


class GatewayConnection(Session):
    """A session that is refused at once when there are too many connections."""

    def __init__(self, server: SmppServer, limits: SessionLimits) -> None:
        super().__init__(server, limits)
        self._server = server
        self._is_made = False
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._is_made = True
        if not self._server.admit(self):
            self.close("too many connections")
        elif self._early:
            super().data_received(self._early)

    def data_received(self, data: bytes) -> None:
        if self._is_made:
            super().data_received(data)
        else:  # with TLS, together with the end of the handshake
            self._early += data


def _answer_submission(session: Session, pdu: Pdu, answer: SubmitResult) -> None:
    if isinstance(answer, UUID):
        session.respond(pdu, body=message_id_body(str(answer)))
    else:
        session.respond(pdu, status=answer)


def serve(options: ServerOptions, *, ready: Callable[[SmppServer], None], stop_signals: tuple[int, ...] = ()) -> None:
    """Run a server in this thread until one of the signals arrives."""

    async def run() -> None:
        stop = asyncio.Event()
        for number in stop_signals:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = SmppServer(options)
        with contextlib.suppress(asyncio.CancelledError):
            await server.run(stop, ready=partial(ready, server))

    asyncio.run(run())
