"""A worker that was suspended beyond its lease makes no call: its message may have been sent again meanwhile."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from urllib3.connection import HTTPConnection

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import recovery, retry
from messaging.services.outbound.dispatch import Dispatcher
from messaging.services.outbound.dispatch.attempts import Attempt, start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.sending import SendResult, send
from messaging.services.outbound.dispatch.settle import settle as settle_with
from providers.errors import NotCalled
from providers.state import rate_limit
from tests.contract.fake_carrier import FakeCarrier
from tests.contract.fake_carrier import answer as http_answer
from tests.factories import NOW, AccountFactory, MessageFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, Clock, InlineExecutor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
LATER = NOW + LEASE
# From here on, the response may come after the lease has ended.
TOO_LATE = LEASE - timedelta(seconds=settings.PROVIDER_READ_TIMEOUT)
TWILIO = {"account_sid": "AC1", "auth_token": "token", "from_number": "+15005550006"}


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    carrier = FakeCarrier()
    carrier.play = http_answer(200, b'{"message_id": "p1"}')
    yield carrier
    carrier.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def generic_http(url: str) -> None:
    AccountFactory(config={"url": url})


def with_a_limit(url: str) -> None:
    AccountFactory(config={"url": url, "max_per_second": 10})


def twilio(url: str) -> None:
    AccountFactory(backend="twilio", config={**TWILIO, "api_base_url": url})


class Suspended(InlineExecutor):
    """The machine is suspended between the commit of the attempt and the call."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    def submit(self, *args, **kwargs):
        self._clock.advance(self._seconds)
        return super().submit(*args, **kwargs)


def run(clock: Clock, seconds: float) -> None:
    Dispatcher(
        concurrency=4,
        lease=LEASE,
        clock=clock,
        executor_factory=lambda _count: Suspended(clock, seconds),
        position=lambda: MIDDLE,
    ).run("express")


@pytest.mark.parametrize("account", [generic_http, with_a_limit, twilio])
class TestEveryAccount:
    def test_after_the_lease_nothing_is_sent(self, carrier, clock, account: Callable[[str], None]) -> None:
        account(carrier.url)
        MessageFactory()

        run(clock, TOO_LATE.total_seconds())

        assert carrier.received == []
        message, attempt = Message.objects.get(), DeliveryAttempt.objects.get()
        assert (message.status, message.rounds_failed) == ("queued", 0)
        assert (attempt.outcome, attempt.error_code) == ("unavailable", "provider_not_called")

    def test_within_the_lease_the_call_is_made(self, carrier, clock, account: Callable[[str], None]) -> None:
        account(carrier.url)
        MessageFactory()

        run(clock, TOO_LATE.total_seconds() - 1)

        assert len(carrier.received) == 1


def started(now=NOW) -> Attempt:
    [call] = start_attempts(claim(queue_name="express", limit=1, now=now, lease=LEASE), now=now, lease=LEASE)
    return call


@pytest.mark.parametrize("account", [generic_http, twilio])
def test_the_lease_is_checked_when_the_connection_is_open(carrier, clock, monkeypatch, account) -> None:
    account(carrier.url)
    MessageFactory()
    call = started()
    connect = "providers.http.connections.HTTPConnection.connect"
    real = HTTPConnection.connect

    def slowly(connection) -> None:
        real(connection)
        clock.advance(TOO_LATE.total_seconds())

    monkeypatch.setattr(connect, slowly)

    result = send(call, clock=clock)

    assert isinstance(result, SendResult)
    assert isinstance(result.error, NotCalled)
    assert carrier.received == []


def test_the_lease_is_checked_after_the_rate_limiter(carrier, clock, monkeypatch) -> None:
    with_a_limit(carrier.url)
    MessageFactory()
    call = started()

    def slowly(*_args: object, **_more: object) -> float:
        clock.advance(TOO_LATE.total_seconds())
        return 0.0

    monkeypatch.setattr(rate_limit, "acquire", slowly)

    result = send(call, clock=clock)

    assert isinstance(result, SendResult)
    assert isinstance(result.error, NotCalled)
    assert carrier.received == []


def test_a_backend_that_checks_no_gate_is_not_called_either(carrier, clock, monkeypatch) -> None:
    generic_http(carrier.url)
    MessageFactory()
    call = started()
    clock.advance(LEASE.total_seconds())
    monkeypatch.setattr("providers.send_gate.check_gate", lambda: None)

    result = send(call, clock=clock)

    assert isinstance(result, SendResult)
    assert isinstance(result.error, NotCalled)
    assert carrier.received == []


class TestSettling:
    """What becomes of the message whose call was not made because its lease had ended."""

    @pytest.fixture
    def call(self, account) -> Attempt:
        MessageFactory()
        return started()

    def settle(self, call: Attempt, now=LATER) -> list[Attempt]:
        result = send(call, clock=Clock(LATER))
        assert isinstance(result, SendResult)
        assert isinstance(result.error, NotCalled)
        return settle_with([result], now=now, lease=LEASE, position=lambda: MIDDLE)

    def test_if_still_claimed_it_goes_to_the_next_account_under_a_new_lease(self, call) -> None:
        AccountFactory(slug="other")

        [following] = self.settle(call)

        assert (following.account.slug, following.number) == ("other", 2)
        assert following.message.lease_until == LATER + LEASE

    def test_if_still_claimed_and_without_another_account_it_is_queued(self, call) -> None:
        assert self.settle(call) == []

        message = Message.objects.get()
        assert (message.status, message.rounds_failed, message.error_code) == ("queued", 0, "provider_not_called")

    def test_if_swept_it_stays_unknown_and_its_attempt_tells_that_nothing_was_sent(self, call) -> None:
        AccountFactory(slug="other")
        recovery.return_expired_claims(now=LATER)

        assert self.settle(call) == []

        message, attempt = Message.objects.get(), DeliveryAttempt.objects.get()
        assert (message.status, message.attempts) == ("unknown", 1)
        assert (attempt.outcome, attempt.error_code) == ("unavailable", "provider_not_called")

    def test_if_retried_by_an_operator_it_stays_queued(self, call) -> None:
        AccountFactory(slug="other")
        self.retried()

        assert self.settle(call) == []

        message = Message.objects.get()
        assert (message.status, message.attempts, message.error_code) == ("queued", 1, "")

    def test_at_its_next_attempt_it_is_left_to_the_worker_that_makes_it(self, call) -> None:
        AccountFactory(slug="other")
        self.retried()
        second = started(LATER)

        assert self.settle(call) == []

        message = Message.objects.get()
        assert (message.status, message.attempts, message.claim_id) == ("sending", 2, second.round.claim_id)
        outcomes = DeliveryAttempt.objects.order_by("number").values_list("outcome", flat=True)
        assert list(outcomes) == ["unavailable", "calling"]

    def test_claimed_again_without_an_attempt_it_is_left_to_that_worker(self, call) -> None:
        AccountFactory(slug="other")
        self.retried()
        [claimed] = claim(queue_name="express", limit=1, now=LATER, lease=LEASE)

        assert self.settle(call) == []

        message = Message.objects.get()
        assert (message.status, message.attempts, message.claim_id) == ("sending", 1, claimed.claim_id)

    def retried(self) -> None:
        recovery.return_expired_claims(now=LATER)
        message = Message.objects.get()
        assert message.status == "unknown"
        retry.retry(message_id=message.pk, reason="the carrier never got it", actor=UserFactory(), now=LATER)


def test_a_call_is_made_if_its_response_comes_within_the_lease(carrier, clock) -> None:
    generic_http(carrier.url)
    MessageFactory()
    call = started()
    clock.advance((TOO_LATE - timedelta(microseconds=1)).total_seconds())

    result = send(call, clock=clock)

    assert (result.error, result.sent_at) == (None, clock.now)
    assert len(carrier.received) == 1
