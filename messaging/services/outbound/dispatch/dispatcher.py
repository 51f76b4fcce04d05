"""The loop around claim, attempts, calls and settling. One run per queue and process."""

import functools
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from messaging import database_faults
from messaging.database_faults import DATABASE_FAULTS, drop_connection, may_pass
from messaging.services.outbound.dispatch import sending
from messaging.services.outbound.dispatch.attempts import (
    Attempt,
    FirstAttempts,
    ineligible_since,
    start_attempts,
)
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.delayed_calls import DelayedCalls
from messaging.services.outbound.dispatch.in_flight import InFlight
from messaging.services.outbound.dispatch.queue_runner import QueueRunner
from messaging.services.outbound.dispatch.record_results import extend_cache, record_results
from messaging.services.outbound.dispatch.sending import Deferred, SendResult, lease_ended
from messaging.services.outbound.dispatch.settle import settle
from providers.errors import NotCalled

logger = logging.getLogger(__name__)

# After the first result, wait this long for others: results that arrive together are settled together.
LINGER_SECONDS = 0.01
# Claim when so many calls can be started, or all of a smaller number: a few messages cost little more than one.
WORTH_A_CLAIM = 8
# Delayed attempts for each call that can be in flight.
DELAYED_PER_CALL = 4
# A call that was delayed for longer than this is checked again before it is made.
CHECK_AGAIN_AFTER = timedelta(seconds=1)


class Dispatcher:
    """Sends the messages of queues, with up to `concurrency` calls in flight for each queue.

    Every queue has its own threads, so bulk queues do not take threads from `express`. The collaborators are arguments so that
    tests can inject faults and a clock.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        lease: timedelta,
        send: Callable[[Attempt], SendResult | Deferred] | None = None,
        clock: Callable[[], datetime] = timezone.now,
        executor_factory: Callable[[int], Executor] = ThreadPoolExecutor,
        position: Callable[[], float] = random.random,
        after_settling: Callable[[], None] = lambda: None,
    ) -> None:
        self.concurrency = concurrency
        self.lease = lease
        self._send = send or functools.partial(sending.send, clock=clock)
        self._clock = clock
        self._executor_factory = executor_factory
        self._position = position
        self._after_settling = after_settling
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._runners: dict[str, QueueRunner] = {}

    def stop(self) -> None:
        """Claim nothing more; calls in flight are finished and settled."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def run(self, queue_name: str, *, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Send until no message is ready or `may_go_on` returns False. Returns the number of claimed messages.

        If the queue is already running in this process, that run checks again and this call returns. When `may_go_on` returns
        False, in-flight calls are finished first.
        """
        runner = self._runner(queue_name)
        runner.notify()
        total = 0
        while runner.notified.is_set() and self._may_claim(may_go_on) and runner.busy.acquire(blocking=False):
            try:
                total += self._run(queue_name, runner, may_go_on)
            finally:
                runner.busy.release()
        return total

    def wake(self, queue_name: str) -> bool:
        """Return True if the queue is running in this process. That run then checks for messages again."""
        runner = self._runner(queue_name)
        runner.notify()  # first: a run that is about to end sees it after it has released the lock
        return runner.busy.locked()

    def send_batch(self, queue_name: str, *, size: int, created_until: datetime) -> int:
        """One tick of a paced queue: send at most `size` messages created until then. Returns the number of claimed messages.

        Claims in parts: a batch may have more messages than can be called within one lease, and the second message to a number
        waits for the first.
        """
        runner = self._runner(queue_name)
        total = 0
        while total < size and not self._stopping.is_set():
            in_flight = InFlight()
            claimed = self._claim_some(in_flight, queue_name, min(size - total, self.concurrency), created_until)
            total += claimed
            self._finish(in_flight, runner)  # also after a fault, which may leave attempts that are written
            if not claimed:
                break
        return total

    def _runner(self, queue_name: str) -> QueueRunner:
        with self._guard:
            if queue_name not in self._runners:
                self._runners[queue_name] = QueueRunner(self._executor_factory(self.concurrency))
            return self._runners[queue_name]

    def _may_claim(self, may_go_on: Callable[[], bool]) -> bool:
        return not self._stopping.is_set() and may_go_on()

    def _run(self, queue_name: str, runner: QueueRunner, may_go_on: Callable[[], bool]) -> int:
        in_flight = InFlight()
        total = 0
        may_have_more = True
        while True:
            may_have_more = may_have_more or runner.notified.is_set()
            runner.clear()
            self._start_due(in_flight, runner)
            claimed = 0
            limit = self._claim_limit(in_flight) if may_have_more else 0
            if limit and self._may_claim(may_go_on):
                claimed = self._claim_some(in_flight, queue_name, limit)
                total += claimed
                may_have_more = claimed == limit
                self._start_due(in_flight, runner)
            if in_flight.unsettled:  # after the claim: threads that have become free make calls meanwhile
                self._settle(in_flight)
                may_have_more = True  # messages to the same recipients
            elif in_flight:
                self._collect_some(in_flight, runner.wakeup)
            elif not claimed:
                return total

    def _claim_limit(self, in_flight: InFlight) -> int:
        """How many messages to claim now; 0 while a claim is not worth its cost."""
        free = min(
            self.concurrency - len(in_flight.calls),
            self.concurrency * DELAYED_PER_CALL - len(in_flight.delayed),
        )
        is_worth_it = not in_flight or free >= min(WORTH_A_CLAIM, self.concurrency // 4)
        return free if is_worth_it else 0

    def _finish(self, in_flight: InFlight, runner: QueueRunner) -> None:
        while in_flight:
            self._start_due(in_flight, runner)
            self._collect_some(in_flight, Future())
            self._settle(in_flight)

    def _start_due(self, in_flight: InFlight, runner: QueueRunner) -> None:
        """Start the calls that are due. After its lease a call is not made: the sweep may have taken the message.

        `sending` checks the lease again right before the first byte.
        """
        due = in_flight.delayed.due(time.monotonic(), limit=self.concurrency - len(in_flight.calls))
        for attempt in self._still_eligible(due, in_flight):
            if attempt.lease_until > self._clock():
                in_flight.calls.add(runner.executor.submit(self._send, attempt))
            else:
                in_flight.refuse(attempt, lease_ended())

    def _still_eligible(self, due: list[Attempt], in_flight: InFlight) -> list[Attempt]:
        """The attempts that may still be sent. If one of them was delayed for long, all delayed ones are checked."""
        now = self._clock()
        if all(now - attempt.checked_at < CHECK_AGAIN_AFTER for attempt in due):
            return due
        delayed, in_flight.delayed = list(in_flight.delayed), DelayedCalls()
        refused = self._refused([*due, *delayed], now)
        for attempt in (*due, *delayed):
            if attempt.attempt_id in refused:
                in_flight.refuse(attempt, NotCalled(refused[attempt.attempt_id]))
        in_flight.delay(replace(attempt, checked_at=now) for attempt in delayed if attempt.attempt_id not in refused)
        return [replace(attempt, checked_at=now) for attempt in due if attempt.attempt_id not in refused]

    def _refused(self, attempts: list[Attempt], now: datetime) -> dict[UUID, str]:
        """The attempts that must not be sent any more, and why: all of them when the database is unavailable."""
        try:
            return ineligible_since(attempts, now=now)
        except Exception as error:  # noqa: BLE001 (any fault: the results of the calls in flight must be saved)
            logger.error("%d delayed calls could not be checked again (%s)", len(attempts), type(error).__name__)
            if may_pass(error):
                drop_connection()
            return {
                attempt.attempt_id: "the message could not be checked again before the call" for attempt in attempts
            }

    def _collect_some(self, in_flight: InFlight, wakeup: Future[None]) -> None:
        """Wait for results, the next due call or the wake-up. Other processes know of the results before they are settled."""
        in_flight.unsettled = in_flight.collect(self._wait(in_flight, wakeup))
        if in_flight.unsettled:
            record_results(in_flight.unsettled, now=self._clock())

    def _settle(self, in_flight: InFlight) -> None:
        """Save the collected results, and keep the attempts that follow."""
        results, in_flight.unsettled = in_flight.unsettled, []
        if results:
            in_flight.delay(self._settle_or_split(results, in_flight))

    def _claim(self, in_flight: InFlight, queue_name: str, limit: int, created_until: datetime | None = None) -> int:
        """Claim messages, write their first attempts and keep these in `in_flight`. Returns the number of claimed messages."""
        now = self._clock()
        first = FirstAttempts(now=now, lease=self.lease)
        claimed = claim(
            queue_name=queue_name,
            limit=limit,
            now=now,
            lease=self.lease,
            created_until=created_until,
            first=first,
            interrupted=self._runner(queue_name).notify,
        )
        attempts, others = first.after(claimed)
        in_flight.delay(attempts)
        if others:
            in_flight.delay(start_attempts(others, now=self._clock(), lease=self.lease))
        return len(claimed)

    def _claim_some(
        self, in_flight: InFlight, queue_name: str, limit: int, created_until: datetime | None = None
    ) -> int:
        """As `_claim`, but a fault does not end the run while there are calls or results: these must be saved first."""
        try:
            return self._claim(in_flight, queue_name, limit, created_until)
        except Exception as error:
            if not in_flight:
                raise
            # It is raised by the next claim, when nothing is in flight.
            logger.error("no message could be claimed (%s); finishing the calls in flight", type(error).__name__)
            if may_pass(error):
                drop_connection()
            return 0

    def _wait(self, in_flight: InFlight, wakeup: Future[None]) -> set[Future[SendResult | Deferred]]:
        can_start = len(in_flight.calls) < self.concurrency
        until_next = in_flight.delayed.seconds_to_next(time.monotonic()) if can_start else None
        futures: set[Future[Any]] = {*in_flight.calls, wakeup}  # Any: their results differ and are not read here
        wait(futures, timeout=until_next, return_when=FIRST_COMPLETED)
        if not any(call.done() for call in in_flight.calls):
            return set()
        return wait(in_flight.calls, timeout=LINGER_SECONDS, return_when=ALL_COMPLETED).done

    def _settle_or_split(self, results: list[SendResult], in_flight: InFlight) -> list[Attempt]:
        """Settle; if the batch fails, settle each result on its own, so that one cannot prevent the others.

        A result that cannot be written alone either is left to the sweep, which makes its message `unknown`.
        """
        try:
            attempts = self._settle_patiently(results, in_flight)
        except Exception as error:  # noqa: BLE001 (any fault: the other results must be saved)
            logger.error("%d results could not be settled together: %s", len(results), type(error).__name__)
            if len(results) == 1:
                return []
        else:
            self._after_settling()
            return attempts
        return [attempt for result in results for attempt in self._settle_or_split([result], in_flight)]

    def _settle_patiently(self, results: list[SendResult], in_flight: InFlight) -> list[Attempt]:
        """Settle, however long the database is unavailable: results are kept as long as this process lives."""
        pauses = database_faults.pauses()
        while True:
            try:
                return settle(results, now=self._clock(), lease=self.lease, position=self._position)
            except DATABASE_FAULTS as error:
                if not may_pass(error):
                    raise
                logger.error("database unavailable (%s); keeping %d results", type(error).__name__, len(results))
            drop_connection()
            extend_cache([*results, *in_flight.uncollected()], now=self._clock())
            threading.Event().wait(next(pauses))
