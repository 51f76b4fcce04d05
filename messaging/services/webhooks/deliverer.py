"""The loop around number, claim, call and settle: one in each worker process, with threads of its own."""

import logging
import random
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from django.utils import timezone
from standardwebhooks import Webhook

from messaging import database_faults
from messaging.database_faults import drop_connection, may_pass
from messaging.services.webhooks import event_log
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.concurrency import WebhookJob
from messaging.services.webhooks.settle import Result, settle
from providers.http.public_addresses import AddressRefused
from providers.http.public_http import FetchFailed, PublicHttp

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
LEASE = timedelta(seconds=60)
# While every call in the air is slow, look this often for what has become due for others.
LOOK_SECONDS = 0.5


class Deliverer:
    """Makes due callbacks, up to `concurrency` at once and a few for each endpoint, until nothing is due.

    The collaborators are arguments, so that tests can put a fault or a clock in their place.
    """

    def __init__(
        self,
        http: PublicHttp,
        *,
        concurrency: int = 32,
        clock: Callable[[], datetime] = timezone.now,
        executor_factory: Callable[[int], Executor] = ThreadPoolExecutor,
        position: Callable[[], float] = random.random,
        after_numbering: Callable[[Collection[int]], None] = lambda _owners: None,
    ) -> None:
        self._http = http
        self._concurrency = concurrency
        self._clock = clock
        self._executor_factory = executor_factory
        self._executor: Executor | None = None
        self._position = position
        self._after_numbering = after_numbering
        self._stopping = threading.Event()
        self._busy = threading.Lock()
        self._rung = threading.Event()
        self._wake = threading.Event()

    def stop(self) -> None:
        """Claim nothing more; calls in the air are finished and settled."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> int:
        """Number what is new and deliver what is due; returns how many calls were made.

        A second run in this process only tells the first one to look once more.
        """
        self._rung.set()
        self._wake.set()
        total = 0
        while self._rung.is_set() and not self._stopping.is_set() and self._busy.acquire(blocking=False):
            try:
                self._executor = self._executor or self._executor_factory(self._concurrency)
                total += self._loop(self._executor)
            finally:
                self._busy.release()
        return total

    def _loop(self, executor: Executor) -> int:
        in_flight: dict[Future[Result], WebhookJob] = {}
        total = 0
        while True:
            self._wake.clear()
            self._rung.clear()
            jobs = self._next(in_flight) if in_flight else self._look(in_flight)
            for job in jobs:
                future = executor.submit(self._call, job)
                in_flight[future] = job
                future.add_done_callback(lambda _future: self._wake.set())
            total += len(jobs)
            if not in_flight:
                return total
            self._wake.wait(LOOK_SECONDS)
            done = [future for future in in_flight if future.done()]
            self._settle([future.result() for future in done])
            for future in done:
                del in_flight[future]

    def _next(self, in_flight: dict[Future[Result], WebhookJob]) -> list[WebhookJob]:
        """A fault must not abandon the calls in flight: their results are only in memory."""
        try:
            return self._look(in_flight)
        except Exception as error:  # noqa: BLE001 (whatever it is: with nothing in the air it is raised)
            logger.error("no callback could be claimed (%s); finishing those in the air", type(error).__name__)
            if may_pass(error):
                drop_connection()
            return []

    def _look(self, in_flight: dict[Future[Result], WebhookJob]) -> list[WebhookJob]:
        if self._stopping.is_set():
            return []
        now = self._clock()
        event_log.number(now=now, notify=self._after_numbering)
        return_expired_claims(now=now)
        limit = self._concurrency - len(in_flight)
        if not limit:
            return []
        return claim(limit=limit, in_flight=in_flight.values(), now=now, lease=LEASE)

    def _call(self, job: WebhookJob) -> Result:
        now = self._clock()
        if not job.secrets:
            return Result(job, error="The endpoint's secret cannot be read; rotate it.")
        try:
            answer = self._http.post(
                job.url, body=job.body.encode(), headers=_headers(job, now), timeout_seconds=TIMEOUT_SECONDS
            )
        except (AddressRefused, FetchFailed) as error:
            return Result(job, error=f"Not delivered: {error}.")
        except Exception as error:  # noqa: BLE001 (whatever it is, the loop and the others in the air go on)
            logger.error("a callback broke off: %s", type(error).__name__)
            return Result(job, error="Not delivered: our own failure.")
        return Result(job, status=answer.status, retry_after=answer.retry_after(now))

    def _settle(self, results: Sequence[Result]) -> None:
        """However long the database is unavailable. What can never be written is called again when its lease is over."""
        pauses = database_faults.pauses()
        while results:
            try:
                settle(results, now=self._clock(), positions=[self._position() for _ in results])
            except Exception as error:  # noqa: BLE001 (whatever it is, the other calls in the air have to be settled)
                passes = may_pass(error)
                logger.error("%d callbacks could not be settled (%s)", len(results), type(error).__name__)
            else:
                return
            if not passes:
                return
            drop_connection()
            threading.Event().wait(next(pauses))


def _headers(job: WebhookJob, now: datetime) -> dict[str, str]:
    signatures = [Webhook(secret).sign(job.webhook_id, now, job.body) for secret in job.secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": job.webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
