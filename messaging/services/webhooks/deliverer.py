"""The delivery loop of a worker process: number events, claim deliveries, call, settle. It has its own threads."""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

from django.utils import timezone

from messaging import database_faults
from messaging.database_faults import drop_connection, may_pass
from messaging.services.webhooks import dialects, event_log
from messaging.services.webhooks.claim import claim, return_expired_claims
from messaging.services.webhooks.concurrency import WebhookJob
from messaging.services.webhooks.dialects import ClientCall, Dialect
from messaging.services.webhooks.settle import Obey, ResponseBody, Result, ignore_answers, settle
from providers.http.public_addresses import AddressRefused
from providers.http.public_http import FetchFailed, PublicHttp
from providers.http.transport import HttpResponse

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0
LEASE = timedelta(seconds=60)
# Requests of one delivery, where a client's answer may ask for another one.
MAX_HOPS = 6
# While all calls in flight are slow, check this often for newly due deliveries.
POLL_SECONDS = 0.5


class Deliverer:
    """Delivers due webhooks until nothing is due: up to `concurrency` calls at once, a few for each endpoint.

    Collaborators are arguments, so that tests can replace them. `after_numbering` gets the owners of newly numbered events;
    `obey` does what a client's answers ask for, in the transaction that records their delivery. Before it, and in the thread of
    the call, `fetch` stores the files that they name, and returns them by address.
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
        obey: Obey = ignore_answers,
        fetch: Callable[[Result], Mapping[str, UUID]] = lambda _result: {},
    ) -> None:
        self._http = http
        self._concurrency = concurrency
        self._clock = clock
        self._executor_factory = executor_factory
        self._executor: Executor | None = None
        self._position = position
        self._after_numbering = after_numbering
        self._obey = obey
        self._fetch = fetch
        self._stopping = threading.Event()
        self._busy = threading.Lock()
        self._requested = threading.Event()
        self._wake = threading.Event()

    def stop(self) -> None:
        """Claim nothing more. Calls in flight are finished and settled."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> int:
        """Number new events and deliver what is due; return the number of calls made.

        If the loop already runs in this process, that run checks again and this call returns 0.
        """
        self._requested.set()
        self._wake.set()
        total = 0
        while self._requested.is_set() and not self._stopping.is_set() and self._busy.acquire(blocking=False):
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
            self._requested.clear()
            jobs = self._claim_more(in_flight) if in_flight else self._claim(in_flight)
            for job in jobs:
                future = executor.submit(self._call, job)
                in_flight[future] = job
                future.add_done_callback(lambda _future: self._wake.set())
            total += len(jobs)
            if not in_flight:
                return total
            self._wake.wait(POLL_SECONDS)
            done = [future for future in in_flight if future.done()]
            self._settle([future.result() for future in done])
            for future in done:
                del in_flight[future]

    def _claim_more(self, in_flight: dict[Future[Result], WebhookJob]) -> list[WebhookJob]:
        """Do not abandon the calls in flight because of a fault: their results are only in memory."""
        try:
            return self._claim(in_flight)
        except Exception as error:  # noqa: BLE001 (once nothing is in flight, `_claim` raises it)
            logger.error("claiming webhooks failed (%s); finishing the calls in flight", type(error).__name__)
            if may_pass(error):
                drop_connection()
            return []

    def _claim(self, in_flight: dict[Future[Result], WebhookJob]) -> list[WebhookJob]:
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
        dialect = dialects.named(job.dialect)
        if dialect.is_signed and not job.secrets:
            return Result(job, error=dialect.unsigned)
        try:
            return self._result(dialect, job)
        except (AddressRefused, FetchFailed) as error:
            return Result(job, error=f"Not delivered: {error}.")
        except Exception as error:  # noqa: BLE001 (a bug in one call must not stop the loop and the other calls)
            logger.error("webhook call failed: %s", type(error).__name__)
            return Result(job, error="Not delivered: our own failure.")

    def _result(self, dialect: Dialect, job: WebhookJob) -> Result:
        response, answers = self._answer(dialect, job)
        result = Result(
            job,
            status=response.status,
            retry_after=response.retry_after(self._clock()),
            error="" if dialect.is_confirmed(response) else _refusal(response),
            answers=answers,
        )
        return replace(result, assets=self._fetch(result)) if result.succeeded and answers else result

    def _answer(self, dialect: Dialect, job: WebhookJob) -> tuple[HttpResponse, tuple[ResponseBody, ...]]:
        """Make the call, and those that its answers ask for; return the last response, and the answers that were read."""
        request = job.request
        answers: list[ResponseBody] = []
        deadline = time.monotonic() + TIMEOUT_SECONDS
        for _hop in range(MAX_HOPS):
            response = self._request(dialect, job, request, max(0.001, deadline - time.monotonic()))
            if response.body:
                answers.append(ResponseBody(request.url, response.body, response.headers.get("content-type", "")))
            is_confirmed = dialect.is_confirmed(response)
            following = dialect.follow(job.request, request, response) if is_confirmed else None
            if following is None:
                return response, tuple(answers)
            request = following
        raise FetchFailed("the answers lead from one address to the next", retryable=False)

    def _request(self, dialect: Dialect, job: WebhookJob, request: ClientCall, seconds: float) -> HttpResponse:
        signature = dialect.signature(request, webhook_id=job.webhook_id, secrets=job.secrets, now=self._clock())
        return self._http.call(
            request.method,
            request.url,
            body=request.body,
            headers={**request.headers, **signature},
            timeout_seconds=seconds,
            max_bytes=dialect.max_response_bytes,
        )

    def _settle(self, results: Sequence[Result]) -> None:
        """Keep trying while the database is unavailable. After any other error, the lease ends and the calls are repeated."""
        pauses = database_faults.pauses()
        while results:
            try:
                settle(results, now=self._clock(), positions=[self._position() for _ in results], obey=self._obey)
            except Exception as error:  # noqa: BLE001 (the other calls in flight still have to be settled)
                passes = may_pass(error)
                logger.error("%d webhook results could not be saved (%s)", len(results), type(error).__name__)
            else:
                return
            if not passes:
                return
            drop_connection()
            threading.Event().wait(next(pauses))


def _refusal(response: HttpResponse) -> str:
    """What is recorded of a response that does not confirm the event; "" if its status tells enough."""
    is_success = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
    return "The endpoint's answer does not acknowledge the call." if is_success else ""
