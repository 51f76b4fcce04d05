"""A scripted receiver, and a deliverer with a settable clock."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from messaging.models import TwilioAccount
from messaging.sealing import seal
from messaging.services.webhooks.deliverer import Deliverer
from providers.http.public_http import FetchFailed
from providers.http.transport import HttpResponse
from tests.factories import NOW


@dataclass(frozen=True)
class Call:
    url: str
    body: bytes
    headers: Mapping[str, str]
    at: datetime
    method: str = "POST"
    max_bytes: int = 0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Receiver:
    """Replaces `PublicHttp`: records each call and returns `reply(url)`."""

    clock: Clock
    reply: Callable[[str], HttpResponse]
    calls: list[Call] = field(default_factory=list)

    def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float,
        max_bytes: int = 0,
    ) -> HttpResponse:
        assert 14 < timeout_seconds <= 15
        self.calls.append(Call(url, body, headers, self.clock.now, method, max_bytes))
        return self.reply(url)


def status(code: int, **headers: str) -> Callable[[str], HttpResponse]:
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return lambda _url: HttpResponse(code, names, b"")


def broken(_url: str) -> HttpResponse:
    raise FetchFailed("the connection was refused", retryable=True)


class AtOnceExecutor:
    """Runs each call in the submitting thread, so that a test with a clock has no other threads."""

    def __init__(self, _size: int) -> None:
        pass

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        future: Future = Future()
        future.set_result(function(*args))
        return future


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver(clock: Clock) -> Receiver:
    return Receiver(clock, status(200))


@pytest.fixture
def deliverer(clock: Clock, receiver: Receiver) -> Deliverer:
    """No jitter: every delay is the table's."""
    return Deliverer(receiver, clock=clock, executor_factory=AtOnceExecutor, position=lambda: 0.5)  # type: ignore[arg-type]


TOKEN = "0123456789abcdef0123456789abcdef"


def twilio_account(owner: User, *, token: str = TOKEN, **values: Any) -> TwilioAccount:
    """The Twilio credential of an owner."""
    return TwilioAccount.objects.create(
        user=owner,
        sid=f"AC{owner.pk:032x}",
        auth_token=seal("twilio-auth-tokens", token),
        auth_token_digest="unused",
        created_at=NOW,
        **values,
    )
