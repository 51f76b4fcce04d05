"""What time does to receipts and parts."""

from datetime import timedelta

import pytest

from messaging.models import GatewayPart, GatewayReceipt, GatewayText
from messaging.services.gateway import parts
from messaging.services.privacy import erasure, retention
from messaging.services.webhooks import gateway_receipts
from messaging.tasks import purge
from tests.factories import (
    NOW,
    GatewayCredentialFactory,
    GatewayPartFactory,
    GatewayReceiptFactory,
    GatewayTextFactory,
    MessageFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=90)


def claim(row: GatewayReceipt, now=NOW):
    return gateway_receipts.claim(places={row.credential_id: 5}, now=now, lease=LEASE)


def test_the_receipt_of_a_dead_process_is_due_again_after_its_lease() -> None:
    row = GatewayReceiptFactory(due=True)
    [job] = claim(row)

    gateway_receipts.sweep(now=NOW + LEASE - timedelta(seconds=1))
    assert claim(row) == []
    gateway_receipts.sweep(now=NOW + LEASE)

    [again] = claim(row, NOW + LEASE)
    assert (again.id, again.attempts) == (job.id, 2)


def test_a_process_that_lost_its_claim_settles_nothing() -> None:
    row = GatewayReceiptFactory(due=True)
    [job] = claim(row)
    gateway_receipts.sweep(now=NOW + LEASE)
    claim(row, NOW + LEASE)

    gateway_receipts.settle(acknowledged=[job], refused=[], now=NOW + LEASE)
    gateway_receipts.settle(acknowledged=[], refused=[job], now=NOW + LEASE)

    row.refresh_from_db()
    assert row.state == "sending"


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 5), (1, 30), (4, 1800), (5, 3600), (50, 3600)])
def test_a_refused_receipt_is_repeated_with_growing_delays(attempts: int, seconds: int) -> None:
    row = GatewayReceiptFactory(due=True, attempts=attempts)

    gateway_receipts.settle(acknowledged=[], refused=claim(row), now=NOW)

    row.refresh_from_db()
    assert (row.state, row.next_attempt_at) == ("pending", NOW + timedelta(seconds=seconds))


def test_a_receipt_that_was_not_sent_has_lost_no_attempt() -> None:
    row = GatewayReceiptFactory(due=True)

    gateway_receipts.release(claim(row), now=NOW)

    row.refresh_from_db()
    assert (row.state, row.attempts, row.next_attempt_at) == ("pending", 0, NOW)


def test_only_credentials_with_places_are_claimed_for() -> None:
    row = GatewayReceiptFactory(due=True)
    GatewayReceiptFactory.create_batch(3, credential=row.credential, due=True)
    GatewayReceiptFactory(due=True)

    assert gateway_receipts.claim(places={row.credential_id: 0}, now=NOW, lease=LEASE) == []
    jobs = gateway_receipts.claim(places={row.credential_id: 3}, now=NOW, lease=LEASE)

    assert {job.credential_id for job in jobs} == {row.credential_id}
    assert len(jobs) == 3


def test_a_message_without_an_end_is_reported_as_unknown() -> None:
    row = GatewayReceiptFactory(message__sent=True)

    gateway_receipts.sweep(now=row.give_up_at - timedelta(seconds=1))
    assert GatewayReceipt.objects.get().state == "waiting"
    gateway_receipts.sweep(now=row.give_up_at)

    row.refresh_from_db()
    assert (row.state, row.message_state, row.error) == ("pending", 7, "000")


def test_receipts_nobody_takes_are_deleted_after_a_week() -> None:
    row = GatewayReceiptFactory(due=True)

    assert gateway_receipts.purge(now=NOW + timedelta(days=7)) == 0
    assert gateway_receipts.purge(now=NOW + timedelta(days=7, seconds=1)) == 1
    assert not GatewayReceipt.objects.filter(pk=row.pk).exists()


def test_the_hourly_purge_covers_parts_receipts_and_texts() -> None:
    GatewayReceiptFactory(due=True, done_at=NOW - timedelta(days=800), next_attempt_at=NOW)
    GatewayPartFactory(received_at=NOW - timedelta(days=800), due_at=NOW - timedelta(days=800))
    GatewayTextFactory(created_at=NOW - timedelta(days=800))

    purge()

    assert not GatewayPart.objects.exists()
    assert not GatewayText.objects.exists()
    assert not GatewayReceipt.objects.exists()


def test_the_ids_of_parts_are_kept_no_longer_than_the_shortest_retention(settings) -> None:
    old = GatewayPartFactory(due_at=None, octets="", received_at=NOW - timedelta(days=3))
    settings.RETENTION_TEXT_DAYS = 4
    parts.purge(now=NOW)
    assert GatewayPart.objects.filter(pk=old.pk).exists()

    settings.RETENTION_TEXT_DAYS = 2
    parts.purge(now=NOW)

    assert not GatewayPart.objects.exists()


def test_erasing_a_number_deletes_its_parts_and_receipts() -> None:
    message = MessageFactory(delivered=True, to_number="+14155550101")
    GatewayReceiptFactory(message=message, credential__user=message.owner, due=True)
    part = GatewayPartFactory()
    GatewayReceiptFactory(id=part.pk, message=None)
    other = GatewayPartFactory(to_number="+14155550199")
    kept = GatewayReceiptFactory(id=other.pk, message=None, destination="14155550199")

    erasure.erase(number="+14155550101", reason="asked", actor=UserFactory(), now=NOW)

    assert list(GatewayReceipt.objects.all()) == [kept]
    assert list(GatewayPart.objects.all()) == [other]


def test_a_deleted_message_takes_its_receipts_along(settings) -> None:
    settings.RETENTION_ROW_DAYS = 1
    message = MessageFactory(delivered=True)
    GatewayReceiptFactory(message=message, credential=GatewayCredentialFactory(user=message.owner), due=True)

    retention.delete_messages([message], now=NOW)

    assert not GatewayReceipt.objects.exists()
