"""Deliver receipts and texts to the sessions that take them: a window of each, at most, and each by one process at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial

from messaging.services.gateway import deliveries
from messaging.services.gateway.deliveries import DeliveryJob
from messaging.smpp_server.clients import Client
from messaging.smpp_server.deliver_pdus import DeliveredPart, parts_of
from messaging.smpp_server.jobs import in_database, log_failure
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Pdu
from providers.smpp.session import NoResponse, NotWritten, Session

logger = logging.getLogger(__name__)

# Unacknowledged receipts and texts of one session; of a long text, one part at a time.
WINDOW = 10
RESPONSE_SECONDS = 30.0
# No part of a long text begins later than this after the first.
PARTS_SECONDS = 20.0
# Longer than a delivery may wait for its place and its response, the wait for the database included.
LEASE = timedelta(seconds=90)
POLL_SECONDS = 1.0
MAX_CLAIM = 200


class Courier:
    """Lives in the event loop. `receivers` returns the clients whose sessions take receipts."""

    def __init__(
        self,
        executor: Executor,
        *,
        receivers: Callable[[], Iterable[Client]],
        clock: Callable[[], datetime],
        poll_seconds: float | None = None,
    ) -> None:
        self._executor = executor
        self._receivers = receivers
        self._clock = clock
        self._poll_seconds = POLL_SECONDS if poll_seconds is None else poll_seconds
        self._open: dict[Session, int] = {}
        self._acknowledged: list[DeliveryJob] = []
        self._refused: list[DeliveryJob] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_stopping = False

    def wake(self) -> None:
        """A receiver has bound, or a place in a window is free."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`; a fault of the database only delays."""
        while not self._is_stopping:
            self._wake.clear()
            try:
                await self._settle()
                await self._deliver_due()
            except Exception as error:  # noqa: BLE001 (any fault: they stay in the database)
                logger.error("receipts and texts delayed (%s)", type(error).__name__)
                await asyncio.sleep(self._poll_seconds)
            try:
                await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Claim nothing more. What is open is finished by `finish`."""
        self._is_stopping = True
        self._wake.set()

    async def finish(self) -> None:
        """Wait for the deliveries in flight, whose sessions are being closed, and save their results."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RESPONSE_SECONDS)
        try:
            await self._settle()
        except Exception as error:  # noqa: BLE001 (their leases end, and they are delivered again)
            logger.error("acknowledgments not saved (%s)", type(error).__name__)

    def late_response(self, part: DeliveredPart, pdu: Pdu) -> None:
        """The acknowledgment came after the part was given up: it need not be repeated."""
        if pdu.status == CommandStatus.ROK:
            take = partial(deliveries.take_late, part.job, part=part.number, count=part.count)
            self._start(in_database(self._executor, take))

    async def _deliver_due(self) -> None:
        places = self._places()
        if not places:
            return
        take_texts = {client.credential_id for client in self._receivers() if client.takes_texts}
        claim = partial(deliveries.claim, places=places, take_texts=take_texts, now=self._clock(), lease=LEASE)
        for job in await in_database(self._executor, claim):
            self._start(self._deliver(job, self._freest(job.credential_id)))

    def _places(self) -> dict[int, int]:
        """Free places by credential."""
        places: dict[int, int] = {}
        for client in self._receivers():
            free = WINDOW - self._open.get(client.session, 0) if client.session.is_open else 0
            if free > 0:
                places[client.credential_id] = min(MAX_CLAIM, places.get(client.credential_id, 0) + free)
        return places

    def _freest(self, credential_id: int) -> Session | None:
        """The session with the most free places, and one of them taken."""
        clients = [each for each in self._receivers() if each.credential_id == credential_id]
        sessions = [each.session for each in clients if each.session.is_open]
        session = min(sessions, key=lambda each: self._open.get(each, 0), default=None)
        if session is not None:
            self._open[session] = self._open.get(session, 0) + 1
        return session

    async def _deliver(self, job: DeliveryJob, session: Session | None) -> None:
        if session is None:
            await self._release(job)
            return
        try:
            await self._write_parts(job, session)
        finally:
            self._free(session)
            self._wake.set()

    async def _write_parts(self, job: DeliveryJob, session: Session) -> None:
        """Write one part after the other, until one is not acknowledged; keep what was."""
        clock = asyncio.get_running_loop().time
        last_begin = clock() + PARTS_SECONDS
        for place, part in enumerate(parts_of(job)):
            if place and clock() > last_begin:
                break
            try:
                response = await session.request(
                    CommandId.DELIVER_SM, part.body, timeout=RESPONSE_SECONDS, wait=RESPONSE_SECONDS, context=part
                )
            except NotWritten:
                await self._release(job)
                return
            except NoResponse:
                break
            if response.status != CommandStatus.ROK or response.command == CommandId.GENERIC_NACK:
                break
            job = part.taken_of(job)
        else:
            self._acknowledged.append(job)
            return
        self._refused.append(job)

    async def _release(self, job: DeliveryJob) -> None:
        await in_database(self._executor, partial(deliveries.release, job, now=self._clock()))

    def _free(self, session: Session) -> None:
        self._open[session] -= 1
        if self._open[session] == 0:
            del self._open[session]

    async def _settle(self) -> None:
        acknowledged, refused = self._acknowledged, self._refused
        if not acknowledged and not refused:
            return
        self._acknowledged, self._refused = [], []
        try:
            now = self._clock()
            await in_database(
                self._executor,
                partial(deliveries.settle, acknowledged=acknowledged, refused=refused, now=now),
            )
        except BaseException:
            self._acknowledged, self._refused = acknowledged + self._acknowledged, refused + self._refused
            raise

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(log_failure)
