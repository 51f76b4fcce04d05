"""Messages whose receipt did not come in time."""

from datetime import timedelta

import pytest

from messaging.models import Message
from messaging.services.outbound import missing_receipts
from tests.factories import MessageFactory

pytestmark = pytest.mark.django_db
LATE = timedelta(hours=72)


def mark(now) -> int:
    return missing_receipts.mark(now=now)


def test_a_sent_message_without_a_receipt_is_marked_and_stays_sent(account, now) -> None:
    message = MessageFactory(sent=True, provider=account)

    assert mark(now + LATE - timedelta(seconds=1)) == 0
    assert mark(now + LATE) == 1

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("sent", "receipt_missing")
    assert message.error_detail == "acme has sent no final receipt within 72 hours."
    assert message.updated_at == now + LATE
    assert not message.events.exists()


def test_marking_twice_changes_nothing(account, now) -> None:
    MessageFactory(sent=True, provider=account)
    mark(now + LATE)
    before = Message.objects.values().get()

    assert mark(now + 2 * LATE) == 0

    assert Message.objects.values().get() == before


@pytest.mark.parametrize("status", ["queued", "unknown", "delivered", "failed", "undelivered", "canceled"])
def test_only_sent_messages_are_marked(account, now, status: str) -> None:
    MessageFactory(status=status, sent_at=now, delivered_at=now, provider=account)

    assert mark(now + LATE) == 0


def test_an_account_without_callbacks_is_left_out(send_only, now) -> None:
    MessageFactory(sent=True, provider=send_only)

    assert mark(now + LATE) == 0


@pytest.mark.parametrize(("hours", "marked"), [(0, 0), (1, 1)])
def test_the_setting_decides(account, now, settings, hours: int, marked: int) -> None:
    settings.RECEIPT_TIMEOUT_HOURS = hours
    MessageFactory(sent=True, provider=account)

    assert mark(now + timedelta(hours=2)) == marked


def test_a_sweep_is_bounded_and_the_next_one_goes_on(account, now, monkeypatch) -> None:
    monkeypatch.setattr(missing_receipts, "CHUNK", 2)
    monkeypatch.setattr(missing_receipts, "MAX_CHUNKS", 2)
    MessageFactory.create_batch(5, sent=True, provider=account)

    assert [mark(now + LATE) for _ in range(3)] == [4, 1, 0]
