"""Attempts that must not be sent any more: provably nothing was sent, and no account has failed."""

from datetime import timedelta

import pytest
from django.db import OperationalError

from messaging.models import DeliveryAttempt, Message, Suppression
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import Attempt, start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.rounds import Round
from messaging.services.outbound.dispatch.sending import Deferred, SendResult
from messaging.services.outbound.dispatch.settle import settle as settle_with
from providers.errors import NotCalled, RateLimited, Unavailable
from providers.state import account_state, circuit_breaker, health
from providers.state.account_state import CallResult
from providers.state.circuit_breaker import Permission
from tests.contract.fake_carrier import FakeCarrier
from tests.contract.fake_carrier import answer as http_answer
from tests.factories import NOW, AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, Carrier, Clock, dispatcher, result_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
STOPPED = NotCalled("the account was paused, or its circuit opened, before the call")
PROBE_AT = NOW + timedelta(seconds=6)


def start(now=NOW) -> list[Attempt]:
    return start_attempts(claim(queue_name="express", limit=16, now=now, lease=LEASE), now=now, lease=LEASE)


def settle(results: list[SendResult], now=NOW) -> list[Attempt]:
    return settle_with(results, now=now, lease=LEASE, position=lambda: MIDDLE)


def half_open(slug: str) -> None:
    account_state.record([CallResult(slug, Unavailable("down"), 5)] * circuit_breaker.FAULT_THRESHOLD, now=NOW)
    account_state.invalidate()


def permission(slug: str) -> Permission:
    return circuit_breaker.request_permission(slug, now=PROBE_AT.timestamp())


def test_reserved_calls_are_not_made_during_a_pause() -> None:
    carrier = FakeCarrier()
    carrier.play = http_answer(429, b"slow down", {"Retry-After": "20"})
    AccountFactory(slug="limited", weight=1000, config={"url": carrier.url, "max_per_second": 4})
    MessageFactory.create_batch(3)

    try:
        dispatcher(None).run("express")
    finally:
        carrier.close()

    assert len(carrier.received) == 1
    attempts = DeliveryAttempt.objects.values_list("outcome", "error_code")
    assert sorted(attempts) == [
        ("unavailable", "provider_not_called"),
        ("unavailable", "provider_not_called"),
        ("unavailable", "provider_rate_limited"),
    ]
    assert set(Message.objects.values_list("status", "rounds_failed")) == {("queued", 0)}


def test_the_next_account_is_tried_at_once(account, now) -> None:
    AccountFactory(slug="other", weight=0)
    MessageFactory()
    [call] = start()
    type(account).objects.filter(pk="other").update(weight=100)

    [following] = settle([result_of(call, STOPPED)])

    assert (following.account.slug, following.number) == ("other", 2)


def test_without_another_account_it_is_queued_again_and_no_round_has_failed(account, now) -> None:
    MessageFactory()
    [call] = start()

    assert settle([result_of(call, STOPPED)]) == []

    message = Message.objects.get()
    assert (message.status, message.rounds_failed, message.error_code) == ("queued", 0, "provider_not_called")
    assert message.next_attempt_at == now + timedelta(seconds=5)


def test_it_does_not_count_for_the_account(account, now) -> None:
    MessageFactory.create_batch(8)

    dispatcher(Carrier(STOPPED)).run("express")

    [window] = health.windows(["acme"], now=now.timestamp(), minutes=[1])["acme"]
    assert (window.calls, window.error_rate) == (0, None)
    account_state.invalidate()
    assert account_state.fetch(["acme"], now=now)["acme"] == account_state.DEFAULT_STATE


class TestProbe:
    """A probe that is not used is released for another message."""

    @pytest.fixture(autouse=True)
    def acme(self, account):
        half_open("acme")
        MessageFactory()
        return account

    def test_after_a_call_that_was_not_made(self) -> None:
        carrier = Carrier(STOPPED)

        dispatcher(carrier, clock=Clock(PROBE_AT)).run("express")

        assert [call.is_probe for call in carrier.calls] == [True]
        assert permission("acme") is Permission.PROBE

    @pytest.mark.parametrize("ended", ["canceled", "opted out"])
    def test_after_a_message_that_ended_before_its_call(self, ended: str) -> None:
        message = Message.objects.get()
        claimed = claim(queue_name="express", limit=1, now=PROBE_AT, lease=LEASE)
        if ended == "canceled":
            Message.objects.update(cancel_requested=True)
        else:
            Suppression.objects.create(number=message.to_number, sender="", source="keyword", created_at=NOW)

        assert start_attempts(claimed, now=PROBE_AT, lease=LEASE) == []

        assert permission("acme") is Permission.PROBE

    def test_after_an_attempt_that_could_not_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unavailable(*_args: object, **_more: object) -> None:
            raise OperationalError("gone")

        claimed = claim(queue_name="express", limit=1, now=PROBE_AT, lease=LEASE)
        monkeypatch.setattr("messaging.services.outbound.dispatch.attempts.write_attempts", unavailable)

        with pytest.raises(OperationalError):
            start_attempts(claimed, now=PROBE_AT, lease=LEASE)

        assert permission("acme") is Permission.PROBE

    def test_after_a_failover_whose_settling_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        other = AccountFactory(slug="other", weight=1)
        attempt = AttemptFactory(open=True, provider=other)
        call = Attempt(attempt.pk, 1, attempt.message, other, Round(attempt.claim_id, frozenset({"other"})))

        def unavailable(*_args: object, **_more: object) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr("messaging.services.outbound.dispatch.failover.write_attempts", unavailable)
        with pytest.raises(OperationalError):
            settle([result_of(call, Unavailable("down"))], PROBE_AT)

        assert permission("acme") is Permission.PROBE

    def test_a_probe_that_is_used_is_not_released(self) -> None:
        [call] = start(PROBE_AT)

        assert call.is_probe
        assert permission("acme") is Permission.REFUSED


class TestLeaseOver:
    """A call whose lease ends before it is made belongs to the sweep, and must not be made any more."""

    @pytest.fixture
    def clock(self, account) -> Clock:
        MessageFactory()
        return Clock()

    def made(self, clock: Clock, *, seconds: float) -> tuple[list[Attempt], Carrier]:
        """The attempts passed to `send`, of which the first is deferred while the clock moves on, and the carrier."""
        sent: list[Attempt] = []
        carrier = Carrier()

        def call(call: Attempt) -> SendResult | Deferred:
            sent.append(call)
            if len(sent) == 1:
                clock.advance(seconds)
                return Deferred(call, 0.001)
            return carrier(call)

        dispatcher(call, clock=clock).run("express")
        return sent, carrier

    def test_unless_it_was_swept_the_message_is_queued_again(self, clock, now) -> None:
        sent, carrier = self.made(clock, seconds=LEASE.total_seconds())

        assert (len(sent), carrier.calls) == (1, [])
        message, attempt = Message.objects.get(), DeliveryAttempt.objects.get()
        assert (message.status, message.rounds_failed) == ("queued", 0)
        assert (attempt.outcome, attempt.error_code) == ("unavailable", "provider_not_called")

    def test_within_the_lease_the_call_is_made(self, clock) -> None:
        _, carrier = self.made(clock, seconds=LEASE.total_seconds() - 1)

        assert len(carrier.calls) == 1
        assert Message.objects.get().status == "sent"

    def test_a_swept_message_stays_unknown(self, account, now) -> None:
        MessageFactory()
        [call] = start()
        recovery.return_expired_claims(now=now + LEASE)

        assert settle([result_of(call, STOPPED)], now + LEASE) == []

        assert Message.objects.get().status == "unknown"


@pytest.mark.parametrize("first", [RateLimited("slow down"), STOPPED], ids=["limited", "stopped"])
def test_a_round_with_another_error_counts_as_failed(account, now, first) -> None:
    AccountFactory(slug="other")
    MessageFactory()
    [call] = start()
    [following] = settle([result_of(call, first)])

    settle([result_of(following, Unavailable("down"))])

    message = Message.objects.get()
    assert (message.status, message.rounds_failed) == ("queued", 1)
