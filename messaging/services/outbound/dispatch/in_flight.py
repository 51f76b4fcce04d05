"""The calls of one run: in flight, or delayed."""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace

from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.delayed_calls import DelayedCalls
from messaging.services.outbound.dispatch.sending import Deferred, SendResult
from providers.errors import NotCalled


class InFlight:
    """`calls` are being made; `delayed` must not be made yet; `unsettled` are collected results that are not saved yet."""

    def __init__(self) -> None:
        self.calls: set[Future[SendResult | Deferred]] = set()
        self.delayed = DelayedCalls()
        self.unsettled: list[SendResult] = []

    def __bool__(self) -> bool:
        return bool(self.calls or self.delayed or self.unsettled)

    def delay(self, attempts: Iterable[Attempt]) -> None:
        """Keep the attempts until their `not_before`."""
        for attempt in attempts:
            self.delayed.add(attempt)

    def refuse(self, attempt: Attempt, why: NotCalled) -> None:
        """Add a finished call that was not made."""
        call: Future[SendResult | Deferred] = Future()
        call.set_result(SendResult(attempt, "", why, 0))
        self.calls.add(call)

    def collect(self, done: set[Future[SendResult | Deferred]]) -> list[SendResult]:
        """Remove finished calls and return their results. Calls that the rate limiter deferred are delayed again."""
        self.calls -= done
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
