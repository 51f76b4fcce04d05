"""Deliver receipts to the sessions that take them: a window of each, at most, and each receipt by one process at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from messaging.services.webhooks import gateway_receipts
from messaging.services.webhooks.gateway_receipts import ReceiptJob
from messaging.smpp_server.jobs import in_database, log_failure
from messaging.smpp_server.receipt_pdus import body_of
from providers.smpp.constants import CommandId, CommandStatus
from providers.smpp.pdu import Pdu
from providers.smpp.session import NoResponse, NotWritten, Session

logger = logging.getLogger(__name__)

# Unacknowledged receipts of one session.
WINDOW = 10
RESPONSE_SECONDS = 30.0
# Longer than a receipt waits for its response, the wait for the database included.
LEASE = timedelta(seconds=90)
POLL_SECONDS = 1.0
MAX_CLAIM = 200


class Courier:
    """Lives in the event loop. `receivers` returns the sessions of each credential that take receipts."""

    def __init__(
        self,
        executor: Executor,
        *,
        receivers: Callable[[], Iterable[tuple[int, Session]]],
        clock: Callable[[], datetime],
        poll_seconds: float | None = None,
    ) -> None:
        self._executor = executor
        self._receivers = receivers
        self._clock = clock
        self._poll_seconds = POLL_SECONDS if poll_seconds is None else poll_seconds
        self._open: dict[Session, int] = {}
        self._acknowledged: list[ReceiptJob] = []
        self._refused: list[ReceiptJob] = []
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
            except Exception as error:  # noqa: BLE001 (any fault: the receipts stay in the database)
                logger.error("receipts delayed (%s)", type(error).__name__)
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
        """Wait for the open receipts, whose sessions are being closed, and save what became of them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RESPONSE_SECONDS)
        try:
            await self._settle()
        except Exception as error:  # noqa: BLE001 (their leases end, and they are delivered again)
            logger.error("acknowledgments of receipts not saved (%s)", type(error).__name__)

    def late_response(self, receipt_id: UUID, pdu: Pdu) -> None:
        """The acknowledgment came after the receipt was given up: it need not be repeated."""
        if pdu.status == CommandStatus.ROK:
            job = in_database(self._executor, partial(gateway_receipts.forget, receipt_id))
            self._start(job)

    async def _deliver_due(self) -> None:
        places = self._places()
        if not places:
            return
        now = self._clock()
        jobs = await in_database(self._executor, partial(gateway_receipts.claim, places=places, now=now, lease=LEASE))
        for job in jobs:
            self._start(self._deliver(job, self._freest(job.credential_id)))

    def _places(self) -> dict[int, int]:
        """Free places by credential."""
        places: dict[int, int] = {}
        for credential_id, session in self._receivers():
            free = WINDOW - self._open.get(session, 0) if session.is_open else 0
            if free > 0:
                places[credential_id] = min(MAX_CLAIM, places.get(credential_id, 0) + free)
        return places

    def _freest(self, credential_id: int) -> Session | None:
        """The session with the most free places, and one of them taken."""
        sessions = [each for pk, each in self._receivers() if pk == credential_id and each.is_open]
        session = min(sessions, key=lambda each: self._open.get(each, 0), default=None)
        if session is not None:
            self._open[session] = self._open.get(session, 0) + 1
        return session

    async def _deliver(self, job: ReceiptJob, session: Session | None) -> None:
        if session is None:
            await self._release(job)
            return
        try:
            response = await session.request(
                CommandId.DELIVER_SM, body_of(job), timeout=RESPONSE_SECONDS, wait=RESPONSE_SECONDS, context=job.id
            )
        except NotWritten:
            await self._release(job)
        except NoResponse:
            self._refused.append(job)
        else:
            is_taken = response.status == CommandStatus.ROK and response.command != CommandId.GENERIC_NACK
            (self._acknowledged if is_taken else self._refused).append(job)
        finally:
            self._free(session)
            self._wake.set()

    async def _release(self, job: ReceiptJob) -> None:
        await in_database(self._executor, partial(gateway_receipts.release, [job], now=self._clock()))

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
                partial(gateway_receipts.settle, acknowledged=acknowledged, refused=refused, now=now),
            )
        except BaseException:
            self._acknowledged, self._refused = acknowledged + self._acknowledged, refused + self._refused
            raise

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(log_failure)
