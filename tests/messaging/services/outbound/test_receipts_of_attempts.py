"""Receipts that name an attempt by our token, and receipts of an attempt that is not the last one."""

from uuid import uuid4

import pytest

from messaging.models import DeliveryAttempt, PhoneNumber, Suppression
from messaging.services.outbound import receipts
from messaging.states import Status
from providers.contract.callbacks import ReportedStatus as R
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.services.outbound.test_receipts import receive, report, sent, steps

__all__ = ["sent"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("outcome", ["unknown", "calling", "accepted"])
def test_the_token_of_an_attempt_settles_it_without_a_response(account, now, outcome: str) -> None:
    message = MessageFactory(status=Status.UNKNOWN, attempts=1, error_code="worker_lost", error_detail="gone")
    finished = None if outcome == "calling" else now
    attempt = AttemptFactory(message=message, provider=account, outcome=outcome, finished_at=finished)

    kept = receive(account, report(R.DELIVERED), now=now, attempt_id=attempt.pk)

    message.refresh_from_db()
    assert (message.status, message.provider_message_id, message.provider) == ("delivered", "p1", account)
    assert (message.error_code, message.error_detail, message.sent_at) == ("", "", attempt.started_at)
    assert (kept.state, kept.attempt) == ("applied", attempt)


@pytest.mark.parametrize("outcome", ["unavailable", "rejected"])
def test_the_token_of_a_call_that_was_not_accepted_settles_nothing(account, now, outcome: str) -> None:
    message = MessageFactory(status=Status.FAILED, attempts=1)
    attempt = AttemptFactory(message=message, provider=account, outcome=outcome)

    kept = receive(account, report(R.DELIVERED), now=now, attempt_id=attempt.pk)

    message.refresh_from_db()
    assert (message.status, kept.state) == ("failed", "unmatched")


def test_a_token_outweighs_the_providers_id(account, sent, now) -> None:
    other = MessageFactory(status=Status.UNKNOWN, attempts=1)
    attempt = AttemptFactory(message=other, provider=account, outcome="unknown")

    receive(account, report(R.DELIVERED), now=now, attempt_id=attempt.pk)

    sent.refresh_from_db()
    other.refresh_from_db()
    assert (sent.status, other.status) == ("sent", "delivered")


def test_a_token_that_names_another_accounts_attempt_or_none_is_no_match(account, now) -> None:
    foreign = AttemptFactory(message__status=Status.UNKNOWN, outcome="unknown")

    kept = receive(account, report(R.DELIVERED), now=now, attempt_id=foreign.pk)
    lost = receive(account, report(R.DELIVERED, "p2"), now=now, attempt_id=uuid4())

    foreign.message.refresh_from_db()
    assert foreign.message.status == "unknown"
    assert (kept.state, kept.attempt, lost.state, lost.attempt) == ("unmatched", None, "unmatched", None)


@pytest.fixture
def second_attempt(account, now):
    """A message in its second attempt; the first was accepted as `p1`."""
    message = MessageFactory(sending=True, attempts=2)
    AttemptFactory(message=message, provider=account, provider_message_id="p1", number=1)
    DeliveryAttempt.objects.create(
        message=message, provider=account, number=2, claim_id=message.claim_id, outcome="calling", started_at=now
    )
    return message


@pytest.mark.parametrize("reported", [R.SENT, R.UNDELIVERED, R.FAILED, R.CANCELED, R.INVALID, R.OPTED_OUT])
def test_an_older_attempts_receipt_does_not_end_a_newer_one(account, second_attempt, now, reported) -> None:
    kept = receive(account, report(reported), now=now)

    second_attempt.refresh_from_db()
    assert (second_attempt.status, steps(second_attempt), kept.state) == ("sending", [], "ignored")
    assert kept.note == "belongs to attempt 1; a later one was made"
    assert PhoneNumber.objects.filter(status="inactive").exists() == (reported is R.INVALID)
    assert Suppression.objects.exists() == (reported is R.OPTED_OUT)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled", "queued"])
def test_a_receipt_deactivates_the_number_even_if_the_message_does_not_change(account, now, status: str) -> None:
    message = MessageFactory(status=status, attempts=1)
    AttemptFactory(message=message, provider=account, provider_message_id="p1")

    kept = [receive(account, report(reported), now=now) for reported in (R.INVALID, R.OPTED_OUT)]

    message.refresh_from_db()
    assert (message.status, steps(message), [each.state for each in kept]) == (status, [], ["ignored"] * 2)
    number = PhoneNumber.objects.get(number=message.to_number)
    assert (number.status, number.reason) == ("inactive", "acme: recipient_invalid")
    opted_out = Suppression.objects.get()
    assert (opted_out.number, opted_out.sender, opted_out.source) == (message.to_number, "+15005550006", "provider")


def test_a_receipt_after_a_delivery_does_not_deactivate_the_number(account, now) -> None:
    message = MessageFactory(delivered=True)
    AttemptFactory(message=message, provider=account, provider_message_id="p1")

    for reported in (R.INVALID, R.OPTED_OUT):
        assert receive(account, report(reported), now=now).state == "ignored"

    assert not PhoneNumber.objects.exists()
    assert not Suppression.objects.exists()


def test_an_opt_out_without_a_sender_is_from_the_accounts_number(now) -> None:
    account = AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550042"})
    message = MessageFactory(status=Status.QUEUED, attempts=1, from_number="")
    AttemptFactory(message=message, provider=account, provider_message_id="p1")

    receive(account, report(R.OPTED_OUT), now=now)

    assert Suppression.objects.get().sender == "+15005550042"


def test_a_delivery_by_an_earlier_account_sets_its_provider_and_id(account, now) -> None:
    other = AccountFactory(slug="other")
    message = MessageFactory(sent=True, attempts=2, provider=other, provider_message_id="B-1")
    first = AttemptFactory(message=message, provider=account, outcome="unknown", number=1)
    AttemptFactory(message=message, provider=other, provider_message_id="B-1", number=2)

    receive(account, report(R.DELIVERED), now=now, attempt_id=first.pk)

    message.refresh_from_db()
    assert (message.status, message.provider, message.provider_message_id) == ("delivered", account, "p1")


def test_an_older_attempts_delivery_ends_a_newer_one(account, second_attempt, now) -> None:
    receive(account, report(R.DELIVERED), now=now)

    second_attempt.refresh_from_db()
    assert (second_attempt.status, second_attempt.claim_id) == ("delivered", None)


@pytest.mark.parametrize("reported", sorted(receipts.TARGETS))
def test_only_a_delivery_ends_a_message_that_was_queued_again(account, now, reported) -> None:
    message = MessageFactory(status=Status.QUEUED, attempts=1)
    AttemptFactory(message=message, provider=account, provider_message_id="p1")

    kept = receive(account, report(reported), now=now)

    message.refresh_from_db()
    delivered = reported is R.DELIVERED
    assert message.status == ("delivered" if delivered else "queued")
    assert steps(message) == (["delivered"] if delivered else [])
    assert kept.state == ("applied" if delivered else "ignored")
