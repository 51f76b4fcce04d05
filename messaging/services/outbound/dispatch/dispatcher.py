"""The loop around claim, begin, call and settle: one for each queue and process."""

import contextlib
import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    Executor,
    Future,
    InvalidStateError,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from messaging import database_faults
from messaging.database_faults import DATABASE_FAULTS, drop_connection, may_pass
from messaging.services.outbound.dispatch.attempts import Attempt, ineligible_since, start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.delayed_calls import DelayedCalls
from messaging.services.outbound.dispatch.record_results import extend_cache, record_results
from messaging.services.outbound.dispatch.sending import Deferred, SendResult, lease_ended, send
from messaging.services.outbound.dispatch.settle import settle
from providers.errors import NotCalled

logger = logging.getLogger(__name__)

# After the first answer, wait this long for others, so that calls that end together are settled together.
LINGER_SECONDS = 0.01
# For each call that can be in the air, so many may be written down and wait for their departure.
WAITING_FOR_EACH = 4
# A call that waits longer than this for its departure is checked again before it is made.
CHECK_AGAIN_AFTER = timedelta(seconds=1)


@dataclass(slots=True)
class _QueueRunner:
    """One queue's drain in this process: whether it runs, and whether somebody rang meanwhile.

    The bell is a future, so that a loop can wait for it together with the calls in the air.
    """

    busy: threading.Lock = field(default_factory=threading.Lock)
    rung: threading.Event = field(default_factory=threading.Event)
    bell: Future[None] = field(default_factory=Future)
    executor: Executor | None = None

    def ring(self) -> None:
        self.rung.set()
        with contextlib.suppress(InvalidStateError):  # somebody else has rung
            self.bell.set_result(None)

    def hear(self) -> None:
        """Call it before looking for messages: who rings from now on is heard the next time."""
        self.rung.clear()
        if self.bell.done():
            self.bell = Future()


class _InFlight:
    """The calls of one loop: those that are being made, and those that wait for their departure."""

    def __init__(self) -> None:
        self.calls: set[Future[SendResult | Deferred]] = set()
        self.waiting = DelayedCalls()

    def __bool__(self) -> bool:
        return bool(self.calls or self.waiting)

    def add(self, calls: Iterable[Attempt]) -> None:
        for call in calls:
            self.waiting.add(call)

    def take(self, done: set[Future[SendResult | Deferred]]) -> list[SendResult]:
        """The answers among what is done. A call that was not made waits again, for as long as it was told."""
        self.calls -= done
        results = [future.result() for future in done]
        now = time.monotonic()
        self.add(replace(each.call, not_before=now + each.seconds) for each in results if isinstance(each, Deferred))
        return [each for each in results if isinstance(each, SendResult)]

    def answered(self) -> list[SendResult]:
        """The answers that are there and have not been taken yet."""
        results = [future.result() for future in self.calls if future.done()]
        return [each for each in results if isinstance(each, SendResult)]


def _not_made(call: Attempt, why: NotCalled) -> Future[SendResult | Deferred]:
    done: Future[SendResult | Deferred] = Future()
    done.set_result(SendResult(call, "", why, 0))
    return done


class Dispatcher:
    """Drains queues with up to `concurrency` calls in the air for each queue.

    Every queue has its own threads, so bulk work never takes the place of `express`. The collaborators are arguments, so
    that tests can put a fault or a clock in their place.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        lease: timedelta,
        call: Callable[[Attempt], SendResult | Deferred] | None = None,
        clock: Callable[[], datetime] = timezone.now,
        executor_factory: Callable[[int], Executor] = ThreadPoolExecutor,
        position: Callable[[], float] = random.random,
        after_settling: Callable[[], None] = lambda: None,
    ) -> None:
        self.concurrency = concurrency
        self.lease = lease
        self._call = call or functools.partial(send, clock=clock)
        self._clock = clock
        self._executor_factory = executor_factory
        self._position = position
        self._after_settling = after_settling
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._lanes: dict[str, _QueueRunner] = {}

    def stop(self) -> None:
        """Claim nothing more; calls in the air are finished and settled."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def run(self, queue_name: str, *, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Send what is ready until nothing is, or it may not go on; returns how many messages were claimed.

        A second drain of the same queue in this process only tells the first one to look once more. One that may not go on
        finishes what it has in the air.
        """
        lane = self._lane(queue_name)
        lane.ring()
        total = 0
        while lane.rung.is_set() and self._may_claim(may_go_on) and lane.busy.acquire(blocking=False):
            try:
                total += self._run(queue_name, lane, may_go_on)
            finally:
                lane.busy.release()
        return total

    def wake(self, queue_name: str) -> bool:
        """Whether a drain of this queue runs in this process: then it looks once more, and nobody else has to."""
        lane = self._lane(queue_name)
        lane.ring()  # first: a drain that ends now sees it after it has let go
        return lane.busy.locked()

    def send_batch(self, queue_name: str, *, size: int, created_by: datetime) -> int:
        """One tick of a paced queue: at most `size` messages that were there by `created_by`.

        Claimed piece by piece: a batch may be larger than what can be called at once within a lease, and the second message to
        a number has to wait for the first.
        """
        lane = self._lane(queue_name)
        total = 0
        while total < size and not self._stopping.is_set():
            claimed, calls = self._claim(queue_name, min(size - total, self.concurrency), created_by)
            if not claimed:
                break
            total += claimed
            self._finish(calls, lane)
        return total

    def _lane(self, queue_name: str) -> _QueueRunner:
        with self._guard:
            lane = self._lanes.setdefault(queue_name, _QueueRunner())
            if lane.executor is None:
                lane.executor = self._executor_factory(self.concurrency)
            return lane

    def _may_claim(self, may_go_on: Callable[[], bool]) -> bool:
        return not self._stopping.is_set() and may_go_on()

    def _run(self, queue_name: str, lane: _QueueRunner, may_go_on: Callable[[], bool]) -> int:
        air = _InFlight()
        total = 0
        while True:
            lane.hear()
            self._depart(air, lane)
            free = min(self.concurrency - len(air.calls), self.concurrency * WAITING_FOR_EACH - len(air.waiting))
            claimed = 0
            # Not one by one while others are in the air: a handful together costs hardly more than one.
            if (not air or free >= self.concurrency // 4) and self._may_claim(may_go_on):
                claimed, calls = self._claim_while_in_flight(queue_name, free) if air else self._claim(queue_name, free)
                total += claimed
                air.add(calls)
                self._depart(air, lane)
            if air:
                self._settle_some(air, lane.bell)
            elif not claimed:
                return total

    def _finish(self, calls: list[Attempt], lane: _QueueRunner) -> None:
        air = _InFlight()
        air.add(calls)
        while air:
            self._depart(air, lane)
            self._settle_some(air, Future())

    def _depart(self, air: _InFlight, lane: _QueueRunner) -> None:
        """Start the calls whose time has come. One whose lease has ended is not made: the sweep may have its message by now.

        `perform` checks the lease again right before the first byte.
        """
        due = air.waiting.due(time.monotonic(), limit=self.concurrency - len(air.calls))
        for call in self._checked_again(due, air):
            if call.message.lease_until > self._clock():
                air.calls.add(lane.executor.submit(self._call, call))
            else:
                air.calls.add(_not_made(call, lease_ended()))

    def _checked_again(self, due: list[Attempt], air: _InFlight) -> list[Attempt]:
        """The calls of these that may be made. As soon as one of them has waited long, all that wait are checked together."""
        now = self._clock()
        if all(now - call.checked_at < CHECK_AGAIN_AFTER for call in due):
            return due
        waiting, air.waiting = list(air.waiting), DelayedCalls()
        refused = self._refused([*due, *waiting], now)
        air.calls |= {
            _not_made(call, NotCalled(refused[call.attempt_id]))
            for call in (*due, *waiting)
            if call.attempt_id in refused
        }
        air.add(replace(call, checked_at=now) for call in waiting if call.attempt_id not in refused)
        return [replace(call, checked_at=now) for call in due if call.attempt_id not in refused]

    def _refused(self, calls: list[Attempt], now: datetime) -> dict[UUID, str]:
        """The attempts that must not be made any more, and why: all of them if the database cannot be asked."""
        try:
            return ineligible_since(calls, now=now)
        except Exception as error:  # noqa: BLE001 (whatever it is: the answers of the calls in the air have to be written)
            logger.error("%d calls that waited could not be checked again (%s)", len(calls), type(error).__name__)
            if may_pass(error):
                drop_connection()
            return {call.attempt_id: "it could not be checked again before it left" for call in calls}

    def _settle_some(self, air: _InFlight, bell: Future[None]) -> None:
        """Wait for answers, the next departure or the bell; settle what is answered, and take up the calls that follow."""
        answers = air.take(self._wait(air, bell))
        if answers:
            record_results(answers, now=self._clock())
            air.add(self._settle_or_split(answers, air))

    def _claim(self, queue_name: str, limit: int, created_by: datetime | None = None) -> tuple[int, list[Attempt]]:
        claimed = claim(queue_name=queue_name, limit=limit, now=self._clock(), lease=self.lease, created_by=created_by)
        if not claimed:
            return 0, []
        return len(claimed), start_attempts(claimed, now=self._clock(), lease=self.lease)

    def _claim_while_in_flight(self, queue_name: str, limit: int) -> tuple[int, list[Attempt]]:
        """A fault must not end the loop now: the answers of the calls in the air have to be written."""
        try:
            return self._claim(queue_name, limit)
        except Exception as error:  # noqa: BLE001 (whatever it is: with nothing in the air it is raised)
            logger.error("nothing could be claimed (%s); finishing the calls in the air", type(error).__name__)
            if may_pass(error):
                drop_connection()
            return 0, []

    def _wait(self, air: _InFlight, bell: Future[None]) -> set[Future[SendResult | Deferred]]:
        has_room = len(air.calls) < self.concurrency
        until_departure = air.waiting.seconds_to_next(time.monotonic()) if has_room else None
        wait({*air.calls, bell}, timeout=until_departure, return_when=FIRST_COMPLETED)
        if not any(call.done() for call in air.calls):
            return set()
        return wait(air.calls, timeout=LINGER_SECONDS, return_when=ALL_COMPLETED).done

    def _settle_or_split(self, answers: list[SendResult], air: _InFlight) -> list[Attempt]:
        """Settle; one answer that cannot be written must not take the others of its batch along.

        What cannot be written even alone is left to the sweep, which makes its message `unknown`.
        """
        try:
            calls = self._settle_patiently(answers, air)
        except Exception as error:  # noqa: BLE001 (whatever it is, the other answers have to be written)
            logger.error("%d answers could not be settled together: %s", len(answers), type(error).__name__)
            if len(answers) == 1:
                return []
        else:
            self._after_settling()
            return calls
        return [call for answer in answers for call in self._settle_or_split([answer], air)]

    def _settle_patiently(self, answers: list[SendResult], air: _InFlight) -> list[Attempt]:
        """Settle, however long the database is unavailable: while this process lives, its answers are not given up."""
        pauses = database_faults.pauses()
        while True:
            try:
                return settle(answers, now=self._clock(), lease=self.lease, position=self._position)
            except DATABASE_FAULTS as error:
                if not may_pass(error):
                    raise
                logger.error(
                    "the database is unavailable (%s); %d answers are kept", type(error).__name__, len(answers)
                )
            drop_connection()
            extend_cache([*answers, *air.answered()], now=self._clock())
            threading.Event().wait(next(pauses))
