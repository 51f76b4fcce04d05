"""The bound clients of this process: log them in, renew their leases, let them go."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User

from messaging.models import GatewaySession
from messaging.services.errors import DomainError
from messaging.services.gateway import credentials, deliveries, sessions
from messaging.smpp_server import statuses
from messaging.smpp_server.jobs import in_database
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Bind
from providers.smpp.session import Session

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
# Checking a password takes the processor's time: never more than so many at once.
BIND_THREADS = 2

Kind = GatewaySession.Bind
KINDS = {
    CommandId.BIND_TRANSMITTER: Kind.TRANSMITTER,
    CommandId.BIND_RECEIVER: Kind.RECEIVER,
    CommandId.BIND_TRANSCEIVER: Kind.TRANSCEIVER,
}


class Gone(DomainError):
    code = "gone"


@dataclass(frozen=True, slots=True)
class Client:
    """A bound session, with its user as of the bind."""

    session: Session = field(repr=False)
    owner: User
    credential_id: int
    takes_texts: bool
    system_id: str
    kind: GatewaySession.Bind
    lease_id: UUID
    # Of its queries and cancels: one at a time, so that they leave the threads to others.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    @property
    def may_submit(self) -> bool:
        return self.kind != Kind.RECEIVER

    @property
    def takes_receipts(self) -> bool:
        return self.kind != Kind.TRANSMITTER


class Clients:
    """Lives in the event loop."""

    def __init__(self, executor: Executor, *, clock: Callable[[], datetime]) -> None:
        self._executor = executor
        self._bind_executor = ThreadPoolExecutor(BIND_THREADS, thread_name_prefix="smpp-bind")
        self._clock = clock
        self._by_session: dict[Session, Client] = {}
        self._binding: set[Session] = set()

    def of(self, session: Session) -> Client | None:
        return self._by_session.get(session)

    def is_binding(self, session: Session) -> bool:
        return session in self._binding

    def receivers(self) -> Iterator[Client]:
        return (client for client in self._by_session.values() if client.takes_receipts)

    async def bind(self, session: Session, command: CommandId, request: Bind) -> CommandStatus:
        """Log the session in, or return why not."""
        self._binding.add(session)
        log_in = partial(_log_in, session, request, KINDS[command], session.peer, self._clock())
        try:
            owner, lease = await in_database(self._bind_executor, log_in)
        except DomainError as refusal:
            logger.warning("bind from %s refused: %s", session.peer, refusal.code)
            return statuses.OF_BIND.get(refusal.code, CommandStatus.RBINDFAIL)
        except Exception as error:  # noqa: BLE001 (any fault: the client repeats)
            logger.error("bind from %s failed (%s)", session.peer, type(error).__name__)
            return statuses.UNAVAILABLE
        finally:
            self._binding.discard(session)
        if not session.is_open:
            await self._release({lease.pk})
            return CommandStatus.RBINDFAIL
        session.bound = command
        credential = lease.credential
        self._by_session[session] = Client(
            session, owner, credential.pk, credential.receives_texts, request.system_id, KINDS[command], lease.pk
        )
        logger.info("%s bound as %s from %s", request.system_id, lease.bind, session.peer)
        return CommandStatus.ROK

    async def remove(self, session: Session, reason: str) -> None:
        client = self._by_session.pop(session, None)
        if client is not None:
            logger.info("%s (%s) has gone: %s", client.system_id, client.kind, reason)
            await self._release({client.lease_id})

    async def renew(self) -> None:
        """Renew the leases; unbind sessions whose credential was revoked or whose user was deactivated."""
        clients = list(self._by_session.values())
        ids = {client.lease_id for client in clients}
        kept = await in_database(self._executor, partial(sessions.renew, ids, now=self._clock()))
        ended = [client.session.unbind() for client in clients if client.lease_id not in kept]
        await asyncio.gather(*ended)

    def close(self) -> None:
        self._bind_executor.shutdown()

    async def _release(self, lease_ids: set[UUID]) -> None:
        try:
            await in_database(self._executor, partial(sessions.release, lease_ids))
        except Exception as error:  # noqa: BLE001 (the lease ends by itself)
            logger.error("session not released (%s)", type(error).__name__)


def _log_in(
    session: Session, request: Bind, kind: GatewaySession.Bind, address: str, now: datetime
) -> tuple[User, GatewaySession]:
    if not session.is_open:  # a stranger that hangs up at once must not leave the work of a password behind
        raise Gone("The client has gone.")
    credential = credentials.verify(system_id=request.system_id, password=request.password, address=address, now=now)
    lease = sessions.bind(credential=credential, kind=kind, address=address, now=now)
    if kind != Kind.TRANSMITTER:
        deliveries.hasten(credential.pk, now=now)
    return credential.user, lease
