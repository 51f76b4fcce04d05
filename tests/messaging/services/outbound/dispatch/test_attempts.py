"""The attempt is written before the call, at an account that can carry the message."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers.models import ProviderAccount
from tests.factories import AccountFactory, MessageFactory, SenderFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]


def start(now, limit: int = 16, later: timedelta = timedelta(0)):
    claimed = claim(queue_name="express", limit=limit, now=now, lease=LEASE)
    return start_attempts(claimed, now=now + later, lease=LEASE)


def account_with(slug: str, **config) -> ProviderAccount:
    return AccountFactory(slug=slug, config={"url": "http://127.0.0.1:9/", **config})


def test_the_attempt_is_open_and_the_lease_extended(account, now) -> None:
    message = MessageFactory()
    second = timedelta(seconds=1)

    [call] = start(now, later=second)

    message.refresh_from_db()
    attempt = DeliveryAttempt.objects.get()
    assert (call.attempt_id, call.number, call.account, call.round.claim_id) == (
        attempt.pk,
        1,
        account,
        message.claim_id,
    )
    assert (attempt.message, attempt.provider, attempt.number) == (message, account, 1)
    assert (attempt.outcome, attempt.started_at, attempt.finished_at) == ("calling", now + second, None)
    assert (attempt.claim_id, message.attempts, message.provider) == (message.claim_id, 1, account)
    assert (message.status, message.lease_until) == ("sending", now + second + LEASE)
    assert call.lease_until == message.lease_until


def test_the_repr_of_an_attempt_has_neither_text_nor_number(account, now) -> None:
    message = MessageFactory(text="secret text")

    [call] = start(now)

    assert "secret text" not in repr(call)
    assert message.to_number not in repr(call)


def test_shares_follow_the_weights(now) -> None:
    AccountFactory(slug="third", weight=30)
    AccountFactory(slug="rest", weight=70)
    AccountFactory(slug="none", weight=0)
    AccountFactory(slug="off", weight=900, is_enabled=False)
    MessageFactory.create_batch(200)

    shares = Counter(call.account.slug for call in start(now, limit=200))

    assert set(shares) == {"third", "rest"}
    assert abs(shares["third"] - 60) <= 6


def test_an_account_gets_only_numbers_it_serves(now) -> None:
    account_with("german", allowed_prefixes=["+49"])
    account_with("american", denied_prefixes=["+49"])
    MessageFactory(to_number="+4915112345678", text="de")
    MessageFactory(to_number="+14155550101", text="us")

    chosen = {call.message.text: call.account.slug for call in start(now)}

    assert chosen == {"de": "german", "us": "american"}


@pytest.mark.parametrize("sender", ["+15005550007", "80888", "ACME"])
def test_a_sender_bound_to_an_account_is_used_there_only(now, sender: str) -> None:
    AccountFactory(slug="heavy", weight=1000)
    SenderFactory(number=sender, account=AccountFactory(slug="light", weight=1))
    MessageFactory.create_batch(5, from_number=sender)

    assert [call.account.slug for call in start(now)] == ["light"] * 5


def test_a_number_that_no_account_serves_fails(now) -> None:
    account_with("german", allowed_prefixes=["+49"])
    message = MessageFactory(to_number="+14155550101")

    assert start(now) == []

    message.refresh_from_db()
    assert (message.status, message.error_code, message.attempts) == ("failed", "no_route", 0)
    assert message.error_detail == "No provider account serves this number."
    assert not DeliveryAttempt.objects.exists()


@pytest.mark.parametrize("accounts", [[], [{"is_enabled": False}], [{"weight": 0}]], ids=["none", "off", "weightless"])
def test_without_an_account_messages_wait(now, accounts) -> None:
    for values in accounts:
        AccountFactory(**values)
    message = MessageFactory()

    assert start(now) == []

    message.refresh_from_db()
    assert (message.status, message.next_attempt_at) == ("queued", now + timedelta(seconds=30))
    assert (message.attempts, message.rounds_failed, message.error_code) == (0, 0, "waiting_for_provider")
    assert not DeliveryAttempt.objects.exists()


def test_messages_do_not_wait_beyond_their_validity(now) -> None:
    message = MessageFactory(expires_at=now + timedelta(seconds=10))

    start(now)

    message.refresh_from_db()
    assert message.next_attempt_at == now + timedelta(seconds=10)


def test_a_message_without_a_route_does_not_stop_the_others(now) -> None:
    account_with("american", allowed_prefixes=["+1"])
    MessageFactory(to_number="+4915112345678", text="de")
    MessageFactory(to_number="+14155550101", text="us")

    assert [call.message.text for call in start(now)] == ["us"]
    assert dict(Message.objects.values_list("text", "status")) == {"de": "failed", "us": "sending"}


def test_after_its_lease_a_claim_starts_no_attempt(account, now) -> None:
    message = MessageFactory()

    assert start(now, later=LEASE) == []

    message.refresh_from_db()
    assert (message.status, message.attempts) == ("sending", 0)
    assert not DeliveryAttempt.objects.exists()


def test_a_message_that_another_worker_has_claimed_since_is_left_to_it(account, now) -> None:
    MessageFactory()
    claimed = claim(queue_name="express", limit=1, now=now, lease=LEASE)
    Message.objects.update(claim_id=None, lease_until=None, status="queued")
    [theirs] = claim(queue_name="express", limit=1, now=now, lease=LEASE)

    assert start_attempts(claimed, now=now, lease=LEASE) == []

    message = Message.objects.get()
    assert (message.claim_id, message.attempts) == (theirs.claim_id, 0)
    assert not DeliveryAttempt.objects.exists()


def test_the_cost_does_not_grow_with_the_batch(now) -> None:
    AccountFactory(slug="one")
    AccountFactory(slug="two")
    MessageFactory.create_batch(25)

    costs = []
    for limit in (5, 20):
        claimed = claim(queue_name="express", limit=limit, now=now, lease=LEASE)
        with CaptureQueriesContext(connection) as queries:
            assert len(start_attempts(claimed, now=now, lease=LEASE)) == limit
        costs.append(len(queries))

    assert costs[0] == costs[1]
