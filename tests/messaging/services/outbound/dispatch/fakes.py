"""A dispatcher without threads, and carriers that answer as told."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from typing import Any

from messaging.services.outbound.dispatch import Dispatcher
from messaging.services.outbound.dispatch.attempts import Attempt
from messaging.services.outbound.dispatch.sending import SendResult
from providers.errors import SendError
from tests.factories import NOW

LEASE = timedelta(seconds=30)
MIDDLE = 0.5  # of the jitter: the delays are exactly those of the table


class InlineExecutor(Executor):
    """Runs what it gets at once, in the thread that gives it."""

    def __init__(self, _workers: int = 1) -> None:
        self.submitted = 0

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        self.submitted += 1
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (as any executor does)
            future.set_exception(error)
        return future


class Carrier:
    """Answers by account: an error, or the provider's message id (`None`: one of its own for each attempt)."""

    def __init__(self, default: SendError | str | None = None, **by_account: SendError | str | None) -> None:
        self.default = default
        self.by_account = by_account
        self.calls: list[Attempt] = []
        self.before_answer: Callable[[Attempt], None] = lambda call: None

    def __call__(self, call: Attempt) -> SendResult:
        self.calls.append(call)
        self.before_answer(call)
        return answer(call, self.by_account.get(call.account.slug, self.default))

    @property
    def texts(self) -> list[str]:
        return [call.message.text for call in self.calls]

    @property
    def slugs(self) -> list[str]:
        return [call.account.slug for call in self.calls]


def answer(call: Attempt, outcome: SendError | str | None = None) -> SendResult:
    if isinstance(outcome, SendError):
        return SendResult(call, "", outcome, 7)
    return SendResult(call, f"pmid-{call.attempt_id}" if outcome is None else outcome, None, 7)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def dispatcher(
    carrier: Callable[[Attempt], SendResult] | None, *, clock: Clock | None = None, concurrency: int = 16
) -> Dispatcher:
    """Without a carrier it makes real calls."""
    return Dispatcher(
        concurrency=concurrency,
        lease=LEASE,
        call=carrier,
        clock=clock or Clock(),
        executor_factory=InlineExecutor,
        position=lambda: MIDDLE,
    )


def settled(calls: Iterable[Attempt], outcome: SendError | str | None = None) -> list[SendResult]:
    return [answer(call, outcome) for call in calls]
