"""Retrying messages that ended badly."""

from datetime import timedelta

import pytest

from messaging.models import MessageEvent
from messaging.services.errors import NotRetryable, RecipientInactive
from messaging.services.outbound.retry import retry
from messaging.states import OUTBOUND, RETRYABLE, Status
from tests.factories import (
    NOW,
    AccountFactory,
    AttemptFactory,
    MessageFactory,
    PhoneNumberFactory,
    SenderFactory,
    UserFactory,
)

LATER = NOW + timedelta(days=2)


def requeue(message):
    return retry(message_id=message.pk, reason="carrier was down", actor=message.owner, now=LATER)


@pytest.mark.parametrize("status", sorted(RETRYABLE))
def test_a_message_that_ended_badly_is_queued_as_if_new(db, status: Status) -> None:
    message = MessageFactory(
        status=status, attempts=6, rounds_failed=6, error_code="x", error_detail="y", provider=AccountFactory(),
        provider_message_id="p", sent_at=NOW, next_attempt_at=None,
    )  # fmt: skip

    requeue(message)

    message.refresh_from_db()
    assert (message.status, message.next_attempt_at, message.rounds_failed) == ("queued", None, 0)
    assert (message.error_code, message.error_detail, message.provider_id) == ("", "", None)
    assert (message.provider_message_id, message.sent_at) == ("", None)
    assert message.expires_at == LATER + timedelta(seconds=message.valid_for)
    assert message.attempts == 6


def test_a_message_with_an_erased_text_is_refused(db) -> None:
    message = MessageFactory(status=Status.FAILED, text="", erased_at=NOW)

    with pytest.raises(NotRetryable, match="has been erased"):
        requeue(message)

    message.refresh_from_db()
    assert (message.status, message.updated_at) == ("failed", NOW)
    assert not MessageEvent.objects.exists()


def test_actor_and_reason_are_in_the_history(db) -> None:
    message = MessageFactory(status=Status.FAILED)

    requeue(message)

    [event] = message.events.all()
    assert (event.from_status, event.to_status, event.source) == ("failed", "queued", "operator")
    assert (event.detail, event.actor, event.at) == ("carrier was down", message.owner, LATER)


@pytest.mark.parametrize("status", sorted(OUTBOUND - RETRYABLE))
def test_no_other_status_is_retried(db, status: Status) -> None:
    traits = {"sending": True} if status == Status.SENDING else {"status": status, "delivered_at": NOW}
    message = MessageFactory(**traits)

    with pytest.raises(NotRetryable):
        requeue(message)

    message.refresh_from_db()
    assert message.status == status
    assert not MessageEvent.objects.exists()


def test_an_inactive_number_must_be_activated_first(db) -> None:
    message = MessageFactory(status=Status.UNDELIVERED)
    PhoneNumberFactory(number=message.to_number, inactive=True)

    with pytest.raises(RecipientInactive):
        requeue(message)

    message.refresh_from_db()
    assert message.status == "undelivered"
    assert not MessageEvent.objects.exists()


def test_a_sender_number_is_kept_and_an_accounts_own_is_not(db) -> None:
    sender = SenderFactory(owner=UserFactory())
    ours = MessageFactory(status=Status.FAILED, from_number=str(sender.number))
    accounts = MessageFactory(status=Status.FAILED, from_number="+15005550777")

    assert requeue(ours).from_number == str(sender.number)
    assert requeue(accounts).from_number == ""


def test_an_open_attempt_is_closed_so_that_the_next_one_can_start(db) -> None:
    """A receipt ended the message before the response arrived, and the worker may have died."""
    attempt = AttemptFactory(open=True)
    message = attempt.message
    message.status, message.claim_id, message.lease_until = Status.UNDELIVERED, None, None
    message.save()

    requeue(message)

    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.error_code, attempt.finished_at) == ("unknown", "superseded", LATER)
