"""Saving the results of calls."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import DeliveryAttempt, Message, PhoneNumber
from messaging.services.outbound import receipts
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.dispatch.settle import settle as settle_with
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import (
    OutcomeUnknown,
    RecipientInvalid,
    RecipientOptedOut,
    Rejected,
    Unavailable,
)
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, MIDDLE, result_of, results_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
SECOND = timedelta(seconds=1)


def start(now, limit: int = 16):
    claimed = claim(queue_name="express", limit=limit, now=now, lease=LEASE)
    return start_attempts(claimed, now=now, lease=LEASE)


def settle(results, now):
    return settle_with(results, now=now, lease=LEASE, position=lambda: MIDDLE)


@pytest.fixture
def call(account, now):
    """One message in flight at `acme`, the only account."""
    MessageFactory(from_number="")
    [call] = start(now)
    return call


def outcome_of(call) -> tuple[Message, DeliveryAttempt]:
    return Message.objects.get(pk=call.message.pk), DeliveryAttempt.objects.get(pk=call.attempt_id)


def test_accepted_is_sent_with_the_providers_id(call, now) -> None:
    assert settle([result_of(call, "p1")], now + SECOND) == []

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_id, message.provider_message_id) == ("sent", "acme", "p1")
    assert (message.sent_at, message.claim_id, message.lease_until) == (now + SECOND, None, None)
    assert (attempt.outcome, attempt.provider_message_id, attempt.latency_ms) == ("accepted", "p1", 7)
    assert (attempt.finished_at, attempt.error_code) == (now + SECOND, "")
    event = message.events.last()
    assert (event.from_status, event.to_status, event.source, event.provider_slug) == (
        "sending",
        "sent",
        "dispatch",
        "acme",
    )


def test_accepted_without_an_id_is_sent(call, now) -> None:
    settle([result_of(call, "")], now)

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_message_id, attempt.outcome) == ("sent", "", "accepted")


def test_the_accounts_own_number_becomes_the_messages_sender(now) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550042"})
    named, unnamed = MessageFactory(), MessageFactory(from_number="")

    settle(results_of(start(now)), now)

    named.refresh_from_db()
    unnamed.refresh_from_db()
    assert (named.from_number, unnamed.from_number) == ("+15005550006", "+15005550042")


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (Rejected("no", code="too_rude"), "failed", "rejected"),
        (RecipientOptedOut("no"), "failed", "rejected"),
        (RecipientInvalid("no"), "failed", "rejected"),
        (OutcomeUnknown("lost"), "unknown", "unknown"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_final_error_ends_the_message_with_its_reason(call, now, error, status: str, outcome: str) -> None:
    assert settle([result_of(call, error)], now) == []

    message, attempt = outcome_of(call)
    assert (message.status, message.error_code, message.error_detail) == (status, error.error_code, error.detail)
    assert (message.claim_id, message.sent_at) == (None, None)
    assert (attempt.outcome, attempt.error_code, attempt.error_detail) == (outcome, error.error_code, error.detail)
    assert message.events.last().detail == error.error_code


def test_only_an_invalid_recipient_becomes_inactive(account, now) -> None:
    errors = [RecipientInvalid("x"), RecipientOptedOut("x"), Rejected("x"), OutcomeUnknown("x"), Unavailable("x")]
    MessageFactory.create_batch(len(errors))
    calls = start(now)

    settle([result_of(call, error) for call, error in zip(calls, errors, strict=True)], now)

    inactive = PhoneNumber.objects.get(status="inactive")
    assert (inactive.number, inactive.reason) == (calls[0].message.to_number, "acme: recipient_invalid")


def test_the_cost_of_settling_does_not_grow_with_the_batch(now) -> None:
    AccountFactory.create_batch(2)
    errors = [None, "dup", Unavailable("x"), OutcomeUnknown("x"), RecipientInvalid("x")]

    costs = []
    for times in (1, 4):
        MessageFactory.create_batch(5 * times)
        calls = start(now, limit=5 * times)
        results = [result_of(call, error) for call, error in zip(calls, errors * times, strict=True)]
        with CaptureQueriesContext(connection) as queries:
            following = settle(results, now)
        assert len(following) == times
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_a_receipt_that_came_before_the_result_is_applied_with_it(call, now) -> None:
    report = StatusReport("p1", status=ReportedStatus.DELIVERED, raw_status="delivered")
    receipts.record(account=call.account, body=b"x", report=report, attempt_id=None, now=now)

    settle([result_of(call, "p1")], now)

    message, _ = outcome_of(call)
    assert message.status == "delivered"
    assert list(message.events.values_list("to_status", flat=True)) == ["sending", "sent", "delivered"]
