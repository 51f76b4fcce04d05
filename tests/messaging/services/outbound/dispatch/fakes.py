"""A dispatcher without threads, and carriers with given responses."""

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
    """Runs each call at once, in the calling thread."""

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
    """Responds by account: with an error or a provider message id (`None`: a new one for each attempt)."""

    def __init__(self, default: SendError | str | None = None, **by_account: SendError | str | None) -> None:
        self.default = default
        self.by_account = by_account
        self.calls: list[Attempt] = []
        self.before_response: Callable[[Attempt], None] = lambda call: None

    def __call__(self, call: Attempt) -> SendResult:
        self.calls.append(call)
        self.before_response(call)
        return result_of(call, self.by_account.get(call.account.slug, self.default))

    @property
    def texts(self) -> list[str]:
        return [call.message.text for call in self.calls]

    @property
    def slugs(self) -> list[str]:
        return [call.account.slug for call in self.calls]


def result_of(call: Attempt, outcome: SendError | str | None = None) -> SendResult:
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
    """Without a carrier, the dispatcher makes real calls."""
    return Dispatcher(
        concurrency=concurrency,
        lease=LEASE,
        send=carrier,
        clock=clock or Clock(),
        executor_factory=InlineExecutor,
        position=lambda: MIDDLE,
    )


def results_of(calls: Iterable[Attempt], outcome: SendError | str | None = None) -> list[SendResult]:
    return [result_of(call, outcome) for call in calls]
