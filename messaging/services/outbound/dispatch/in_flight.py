"""The calls of one run: in flight, waiting for a thread, or delayed."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.delayed_calls import DelayedCalls
from messaging.services.outbound.dispatch.sending import Deferred, SendResult
from providers.errors import NotCalled
from providers.state import account_state

# Messages are claimed ahead for so many seconds, at the pace at which calls end, so that threads need not wait for a claim.
AHEAD_SECONDS = 0.5
# But for each thread no more than this many: what is claimed has to be called within its lease.
MAX_AHEAD_PER_CALL = 3
PACE_SECONDS = 0.1

Call = Future[SendResult | Deferred]


class Pace:
    """How many calls end in a second, measured over the last `PACE_SECONDS` in which some did."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._ended = 0
        self.per_second = 0.0

    def reset(self) -> None:
        self._since, self._ended, self.per_second = self._clock(), 0, 0.0

    def add(self, ended: int) -> None:
        self._ended += ended
        seconds = self._clock() - self._since
        if seconds >= PACE_SECONDS:
            self.per_second = self._ended / seconds
            self._since += seconds
            self._ended = 0


class InFlight:
    """`calls` are being made, by `concurrency` threads, or wait for one; `delayed` must not be made yet."""

    def __init__(self, concurrency: int) -> None:
        self.calls: dict[Call, Attempt] = {}
        self.delayed = DelayedCalls()
        self._concurrency = concurrency
        self._pace = Pace()
        self._failed: set[UUID] = set()

    def __bool__(self) -> bool:
        return bool(self.calls or self.delayed)

    @property
    def ahead(self) -> int:
        """How many calls may wait for a thread."""
        return min(int(self._pace.per_second * AHEAD_SECONDS), self._concurrency * MAX_AHEAD_PER_CALL)

    @property
    def is_held(self) -> bool:
        """Whether an account has failed and its circuit may be open: calls that wait for a thread are not made yet."""
        return bool(self._failed)

    def note(self, result: SendResult | Deferred) -> None:
        """Called by the thread of a call when it has ended."""
        if isinstance(result, SendResult) and account_state.may_stop_calls(result.error):
            self._failed.add(result.attempt.attempt_id)

    def release(self, recorded: Iterable[SendResult]) -> bool:
        """Call it when results are recorded. Returns True if one of them has held calls: their accounts are to be looked at."""
        failed = {result.attempt.attempt_id for result in recorded} & self._failed
        self._failed -= failed
        if failed:
            self._pace.reset()
        return bool(failed)

    @property
    def are_all_begun(self) -> bool:
        return len(self.calls) <= self._concurrency

    def delay(self, attempts: Iterable[Attempt]) -> None:
        """Keep the attempts until their `not_before`."""
        for attempt in attempts:
            self.delayed.add(attempt)

    def refuse(self, attempt: Attempt, why: NotCalled) -> None:
        """Add a finished call that was not made."""
        call: Call = Future()
        call.set_result(SendResult(attempt, "", why, 0))
        self.calls[call] = attempt

    def withdraw(self, now: datetime, *, older_than: timedelta) -> None:
        """Delay the calls again that have waited for a thread since before: they are checked before they are made."""
        if self.are_all_begun:
            return
        old = [call for call, attempt in self.calls.items() if now - attempt.checked_at >= older_than]
        self.delay(self.calls.pop(call) for call in old if call.cancel())

    def refuse_unavailable(self, now: datetime) -> None:
        """Refuse the delayed calls to accounts that are paused, or whose circuit is not closed."""
        slugs = {attempt.account.slug for attempt in self.delayed}
        states = account_state.cached(slugs, now=now) if slugs else {}
        closed = {slug for slug in slugs if not states[slug].is_callable(now)}
        delayed, self.delayed = list(self.delayed), DelayedCalls()
        for attempt in delayed:
            if attempt.account.slug in closed and not attempt.is_probe:
                self.refuse(attempt, NotCalled(account_state.NOT_CALLABLE))
            else:
                self.delayed.add(attempt)

    def collect(self, done: set[Call]) -> list[SendResult]:
        """Remove finished calls and return their results. Calls that the rate limiter deferred are delayed again."""
        for call in done:
            del self.calls[call]
        self._pace.add(len(done))
        outcomes = [call.result() for call in done]
        now = time.monotonic()
        self.delay(
            replace(outcome.attempt, not_before=now + outcome.seconds)
            for outcome in outcomes
            if isinstance(outcome, Deferred)
        )
        return [outcome for outcome in outcomes if isinstance(outcome, SendResult)]

    def uncollected(self) -> list[SendResult]:
        """Results of calls that have finished and are not collected yet."""
        outcomes = [call.result() for call in self.calls if call.done()]
        return [outcome for outcome in outcomes if isinstance(outcome, SendResult)]
