"""Provider message ids that another attempt already has.

A provider that recognises a message returns the id of its first attempt for a later one. Others use an id again.
"""

import pytest

from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import receipts, recovery
from messaging.services.outbound.retry import retry
from providers.contract.callbacks import ReportedStatus, StatusReport
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE, result_of
from tests.messaging.services.outbound.dispatch.test_settle import outcome_of, settle, start

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("express")]
ID = "X-1"


def receive(account, status: ReportedStatus, now, body: bytes) -> str:
    report = StatusReport(ID, status=status, raw_status=str(status))
    kept = receipts.record(account=account, body=body, report=report, attempt_id=None, now=now)
    receipts.apply(kept.pk, now=now)
    kept.refresh_from_db()
    return kept.state


def test_an_id_that_is_used_again_is_kept(account, now) -> None:
    MessageFactory.create_batch(2)
    first, second = start(now)
    AttemptFactory(provider=account, provider_message_id="same")

    settle([result_of(first, "same"), result_of(second, "same")], now)

    for call in (first, second):
        message, attempt = outcome_of(call)
        assert (message.status, message.provider_message_id) == ("sent", "same")
        assert (attempt.outcome, attempt.provider_message_id) == ("accepted", "same")


def test_the_same_id_of_another_account_is_no_conflict(account, now) -> None:
    MessageFactory()
    [call] = start(now)
    AttemptFactory(provider_message_id="same")

    settle([result_of(call, "same")], now)

    assert outcome_of(call)[0].provider_message_id == "same"


@pytest.fixture
def repeated(account, now) -> Message:
    """Accepted, failed by a receipt, queued again by an operator, and accepted with the same id."""
    message = MessageFactory()
    [first] = start(now)
    settle([result_of(first, ID)], now)
    receive(account, ReportedStatus.FAILED, now, b"first")
    retry(message_id=message.pk, reason="again", actor=message.owner, now=now)
    [second] = start(now)

    settle([result_of(second, ID)], now)

    message.refresh_from_db()
    return message


def test_the_message_keeps_the_id(repeated) -> None:
    assert (repeated.status, repeated.provider_id, repeated.provider_message_id) == ("sent", "acme", ID)
    attempts = DeliveryAttempt.objects.order_by("number").values_list("outcome", "provider_message_id")
    assert list(attempts) == [("accepted", ID)] * 2


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        (ReportedStatus.DELIVERED, "delivered"),
        (ReportedStatus.FAILED, "failed"),
        (ReportedStatus.INVALID, "undelivered"),
    ],
)
def test_its_receipts_are_those_of_the_latest_attempt(account, repeated, now, reported, status: str) -> None:
    assert receive(account, reported, now, b"second") == "applied"

    repeated.refresh_from_db()
    assert repeated.status == status


def test_its_receipts_are_ignored_while_it_is_queued_once_more(account, repeated, now) -> None:
    Message.objects.update(status="failed")
    retry(message_id=repeated.pk, reason="once more", actor=repeated.owner, now=now)

    assert receive(account, ReportedStatus.FAILED, now, b"third") == "ignored"

    repeated.refresh_from_db()
    assert repeated.status == "queued"


def test_settling_twice_changes_nothing(account, now) -> None:
    message = MessageFactory(sending=True, attempts=1, provider=account)
    AttemptFactory(message=message, provider=account, provider_message_id=ID)
    Message.objects.update(status="queued", claim_id=None, lease_until=None)
    [call] = start(now)
    settle([result_of(call, ID)], now)
    before = Message.objects.values().get()

    assert settle([result_of(call, ID)], now) == []

    assert Message.objects.values().get() == before
    assert before["provider_message_id"] == ID


def test_the_id_is_kept_whichever_result_comes_first(account, now) -> None:
    message = MessageFactory()
    [first] = start(now)
    recovery.return_expired_claims(now=now + LEASE)
    retry(message_id=message.pk, reason="again", actor=message.owner, now=now + LEASE)
    [second] = start(now + LEASE)

    settle([result_of(second, ID)], now + LEASE)
    settle([result_of(first, ID)], now + LEASE)

    message.refresh_from_db()
    assert (message.status, message.provider_message_id) == ("sent", ID)
    attempts = DeliveryAttempt.objects.order_by("number").values_list("outcome", "provider_message_id")
    assert list(attempts) == [("accepted", ID)] * 2
