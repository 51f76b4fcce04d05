"""Results that come after the message has moved on: other claims are not touched, and no fact is lost."""

import pytest
from django.db import OperationalError

from messaging.models import DeliveryAttempt, Message, MessageEvent, PhoneNumber, Suppression
from messaging.services.outbound import receipts, recovery
from messaging.services.outbound.retry import retry
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import OutcomeUnknown, RecipientInvalid, RecipientOptedOut, Rejected, Unavailable
from tests.factories import AccountFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of
from tests.messaging.services.outbound.dispatch.test_settle import outcome_of, settle, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
FAULTS = [Unavailable("down"), Rejected("no"), OutcomeUnknown("lost")]


@pytest.fixture
def call(account, now):
    MessageFactory()
    [call] = start(now)
    return call


def receive(call, status: ReportedStatus, now, pmid: str = "p1") -> None:
    report = StatusReport(pmid, status=status, raw_status=str(status))
    kept = receipts.record(
        account=call.account, body=f"{pmid}{status}".encode(), report=report, attempt_id=call.attempt_id, now=now
    )
    receipts.apply(kept.pk, now=now)


def test_a_late_acceptance_settles_a_swept_message(call, now) -> None:
    recovery.return_expired_claims(now=now + LEASE)

    settle([result_of(call, "p1")], now + LEASE)

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_message_id, message.error_code) == ("sent", "p1", "")
    assert (attempt.outcome, attempt.error_code) == ("accepted", "")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_late_error_does_not_send_a_swept_message_again(call, now, fault) -> None:
    AccountFactory()
    recovery.return_expired_claims(now=now + LEASE)

    assert settle([result_of(call, fault)], now + LEASE) == []

    message, _ = outcome_of(call)
    assert (message.status, message.attempts) == ("unknown", 1)


def test_a_result_after_a_receipt_adds_the_facts_and_no_event(call, now) -> None:
    receive(call, ReportedStatus.DELIVERED, now)

    settle([result_of(call, "p1")], now)

    message, attempt = outcome_of(call)
    assert (message.status, message.provider_message_id, attempt.provider_message_id) == ("delivered", "p1", "p1")
    assert (attempt.outcome, attempt.finished_at) == ("accepted", now)
    assert list(message.events.values_list("to_status", flat=True)) == ["sending", "delivered"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_an_error_after_a_receipt_changes_nothing(call, now, fault) -> None:
    AccountFactory()
    receive(call, ReportedStatus.DELIVERED, now)

    assert settle([result_of(call, fault)], now) == []

    message, attempt = outcome_of(call)
    assert (message.status, message.error_code, message.attempts) == ("delivered", "", 1)
    assert attempt.finished_at == now


@pytest.fixture
def overtaken(call, now):
    """The call was swept, an operator has queued the message again, and another worker has it in flight."""
    recovery.return_expired_claims(now=now + LEASE)
    retry(message_id=call.message.pk, reason="again", actor=call.message.owner, now=now + LEASE)
    [theirs] = start(now + LEASE)
    return call, theirs


@pytest.mark.parametrize("outcome", ["p1", *FAULTS], ids=lambda value: type(value).__name__)
def test_the_claim_of_another_worker_is_not_touched(overtaken, now, outcome) -> None:
    mine, theirs = overtaken
    before = Message.objects.values().get()
    events = MessageEvent.objects.count()

    assert settle([result_of(mine, outcome)], now + LEASE) == []

    assert Message.objects.values().get() == before
    assert MessageEvent.objects.count() == events
    assert DeliveryAttempt.objects.get(pk=theirs.attempt_id).outcome == "calling"
    assert DeliveryAttempt.objects.get(pk=mine.attempt_id).provider_message_id == ("p1" if outcome == "p1" else "")


def test_a_late_delivery_of_the_first_attempt_ends_the_second(overtaken, now) -> None:
    mine, theirs = overtaken
    settle([result_of(mine, "p1")], now + LEASE)
    receive(mine, ReportedStatus.DELIVERED, now + LEASE)

    assert settle([result_of(theirs, Unavailable("down"))], now + LEASE) == []

    assert Message.objects.get().status == "delivered"


def test_settling_twice_changes_nothing(call, now) -> None:
    """After a connection lost during the commit, it is unknown whether the commit took place."""
    settle([result_of(call, "p1")], now)
    before = Message.objects.values().get()

    assert settle([result_of(call, "p1")], now) == []

    assert Message.objects.values().get() == before
    assert list(Message.objects.get().events.values_list("to_status", flat=True)) == ["sending", "sent"]


def test_failing_over_twice_changes_nothing(call, now) -> None:
    AccountFactory(slug="other")
    [following] = settle([result_of(call, Unavailable("down"))], now)

    assert settle([result_of(call, Unavailable("down"))], now) == []

    message = Message.objects.get()
    assert (message.status, message.attempts) == ("sending", 2)
    assert DeliveryAttempt.objects.get(outcome="calling").pk == following.attempt_id


@pytest.mark.parametrize("gone", ["swept", "canceled"])
def test_a_late_report_about_the_recipient_is_kept(call, now, gone: str) -> None:
    other = MessageFactory()
    [second] = start(now)
    recovery.return_expired_claims(now=now + LEASE)
    if gone == "canceled":
        Message.objects.update(status="canceled")

    settle([result_of(call, RecipientInvalid("no")), result_of(second, RecipientOptedOut("no"))], now + LEASE)

    assert set(Message.objects.values_list("status", flat=True)) == {"unknown" if gone == "swept" else "canceled"}
    assert PhoneNumber.objects.get(status="inactive").number == call.message.to_number
    opted_out = Suppression.objects.get()
    assert (opted_out.number, opted_out.sender) == (other.to_number, other.from_number)


def test_a_late_report_about_the_recipient_of_a_delivered_message_is_ignored(call, now) -> None:
    receive(call, ReportedStatus.DELIVERED, now)

    settle([result_of(call, RecipientInvalid("no"))], now)

    assert not PhoneNumber.objects.filter(status="inactive").exists()


@pytest.mark.parametrize("fault", [OperationalError("gone"), ValueError("odd")], ids=lambda fault: type(fault).__name__)
def test_a_failure_to_match_parked_receipts_does_not_lose_the_following_attempts(call, now, monkeypatch, fault) -> None:
    AccountFactory(slug="other")
    MessageFactory()
    [second] = start(now)

    def unavailable(*_args, **_options) -> None:
        raise fault

    monkeypatch.setattr("messaging.services.outbound.dispatch.settle.receipts.match_parked", unavailable)
    [following] = settle([result_of(second, "p2"), result_of(call, Unavailable("down"))], now)

    assert following.message.pk == call.message.pk
    assert outcome_of(second)[0].status == "sent"
