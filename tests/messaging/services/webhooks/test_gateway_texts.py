"""People's texts for clients that speak SMPP: one row for each credential that asks, until all parts are acknowledged."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messaging.models import ClientEvent, GatewayText, Message
from messaging.services.gateway import credentials, deliveries
from messaging.services.inbound.process import process
from messaging.services.privacy import erasure, retention
from messaging.services.webhooks import event_log, gateway_claims, gateway_texts
from messaging.services.webhooks.gateway_texts import TextJob
from tests.factories import (
    NOW,
    AccountFactory,
    GatewayCredentialFactory,
    GatewayReceiptFactory,
    GatewayTextFactory,
    MessageFactory,
    UserFactory,
    lose_the_key,
)

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=90)
OWN_NUMBER = {"url": "http://127.0.0.1:9/send", "from_number": "+15005550009"}


def arrive(**fields) -> Message:
    """A text as the worker leaves it: processed, and its event numbered."""
    message = MessageFactory(inbound=True, keyword_read_at=NOW, **fields)
    assert process(default_queue="express", now=NOW) == 1
    event_log.number(now=NOW)
    return message


def claim(row: GatewayText, now=NOW) -> list[TextJob]:
    return gateway_texts.claim(places={row.credential_id: 5}, now=now, lease=LEASE)


class TestCreation:
    def test_each_credential_of_the_owner_that_asks_gets_each_text(self) -> None:
        first = GatewayCredentialFactory(receives_texts=True)
        second = GatewayCredentialFactory(receives_texts=True, user=first.user)
        GatewayCredentialFactory(user=first.user)
        GatewayCredentialFactory(receives_texts=True)
        revoked = GatewayCredentialFactory(receives_texts=True, user=first.user)
        credentials.revoke(credential_id=revoked.pk, now=NOW)

        message = arrive(owner=first.user)

        rows = GatewayText.objects.order_by("pk").values_list("credential", "message", "next_attempt_at")
        assert set(rows) == {(first.pk, message.pk, NOW), (second.pk, message.pk, NOW)}
        assert len(rows) == 2

    def test_a_text_without_an_owner_is_nobodys(self) -> None:
        GatewayCredentialFactory(receives_texts=True)

        arrive(owner=None)

        assert not GatewayText.objects.exists()

    def test_owners_without_such_credentials_cost_one_query_for_all_their_texts(
        self, django_assert_num_queries
    ) -> None:
        owners = {MessageFactory(inbound=True).pk: UserFactory().pk for _ in range(5)}
        with django_assert_num_queries(1):
            gateway_texts.add(owners, now=NOW)
        with django_assert_num_queries(0):
            gateway_texts.add({}, now=NOW)

    def test_a_text_that_was_erased_or_deleted_meanwhile_is_not_kept(self) -> None:
        owner = GatewayCredentialFactory(receives_texts=True).user
        erased, deleted = (MessageFactory(inbound=True, owner=owner, keyword_read_at=NOW) for _ in range(2))
        process(default_queue="express", now=NOW)
        retention.erase_texts([erased.pk], now=NOW)
        Message.objects.filter(pk=deleted.pk).delete()
        assert ClientEvent.objects.filter(sequence=None).count() == 2

        assert event_log.number(now=NOW) == 2

        assert not GatewayText.objects.exists()

    def test_a_repeated_event_makes_no_second_row(self) -> None:
        row = GatewayTextFactory()

        gateway_texts.add({row.message_id: row.message.owner_id}, now=NOW)

        assert GatewayText.objects.get() == row


class TestClaims:
    def test_a_claimed_text_is_read_from_its_message(self) -> None:
        row = GatewayTextFactory()

        [job] = claim(row)

        assert (job.source, job.destination, job.text) == ("+14155550101", "+15005550006", "Yes, please")
        assert "Yes" not in repr(job)
        assert "415" not in repr(job)
        assert claim(row) == []

    def test_a_provider_that_names_no_number_means_that_of_its_account(self) -> None:
        row = GatewayTextFactory(message__to_number="", message__provider=AccountFactory(config=OWN_NUMBER))

        assert claim(row)[0].destination == "+15005550009"

    def test_the_text_of_a_dead_process_is_due_again_after_its_lease(self) -> None:
        row = GatewayTextFactory()
        [job] = claim(row)

        deliveries.sweep(now=NOW + LEASE - timedelta(seconds=1))
        assert claim(row) == []
        deliveries.sweep(now=NOW + LEASE)

        [again] = claim(row, NOW + LEASE)
        assert (again.id, again.attempts) == (job.id, 2)
        gateway_texts.settle(acknowledged=[job], refused=[], now=NOW + LEASE)
        assert GatewayText.objects.get().state == "sending"

    def test_one_that_cannot_be_decrypted_waits_and_does_not_hold_up_others(self) -> None:
        lost = GatewayTextFactory()
        other = GatewayTextFactory(credential=lost.credential)
        lose_the_key(lost.message)

        assert [job.id for job in claim(lost)] == [other.pk]

        lost.refresh_from_db()
        assert (lost.state, lost.next_attempt_at) == ("pending", NOW + timedelta(seconds=5))

    def test_one_that_was_erased_while_its_row_was_made_is_forgotten(self) -> None:
        row = GatewayTextFactory(message__erased_at=NOW, message__text="")
        other = GatewayTextFactory(credential=row.credential)

        assert [job.id for job in claim(row)] == [other.pk]

        assert list(GatewayText.objects.all()) == [other]

    def test_texts_go_before_receipts_and_only_to_those_who_ask(self) -> None:
        text = GatewayTextFactory()
        receipts = GatewayReceiptFactory.create_batch(2, credential=text.credential, due=True)
        places = {text.credential_id: 2}

        [first] = deliveries.claim(places={text.credential_id: 1}, take_texts=(), now=NOW, lease=LEASE)
        second, third = deliveries.claim(places=places, take_texts={text.credential_id}, now=NOW, lease=LEASE)

        assert second.id == text.pk
        assert {first.id, third.id} == {row.pk for row in receipts}


class TestParts:
    def test_only_the_missing_parts_are_kept_for_the_next_attempt(self) -> None:
        row = GatewayTextFactory()
        [job] = claim(row)

        gateway_texts.settle(acknowledged=[], refused=[replace(job, parts_taken=0b101)], now=NOW)

        row.refresh_from_db()
        assert (row.state, row.parts_taken, row.next_attempt_at) == ("pending", 0b101, NOW + timedelta(seconds=5))
        [again] = claim(row, NOW + timedelta(seconds=5))
        gateway_texts.release([replace(again, parts_taken=0b111)], now=NOW)
        row.refresh_from_db()
        assert (row.parts_taken, row.attempts, row.next_attempt_at) == (0b111, 1, NOW)

    def test_the_last_late_acknowledgment_forgets_the_text(self) -> None:
        row = GatewayTextFactory(parts_taken=0b001)

        gateway_texts.take_late(row.pk, part=3, count=3)
        row.refresh_from_db()
        assert row.parts_taken == 0b101
        gateway_texts.take_late(row.pk, part=2, count=3)

        assert not GatewayText.objects.exists()

    def test_a_new_bind_hastens(self) -> None:
        row = GatewayTextFactory(next_attempt_at=NOW + timedelta(hours=1))
        other = GatewayTextFactory(next_attempt_at=NOW + timedelta(hours=1))

        deliveries.hasten(row.credential_id, now=NOW)

        row.refresh_from_db()
        other.refresh_from_db()
        assert (row.next_attempt_at, other.next_attempt_at) == (NOW, NOW + timedelta(hours=1))


class TestEnd:
    def test_texts_that_nobody_takes_are_forgotten_after_a_week_and_their_messages_stay(self) -> None:
        GatewayTextFactory()

        assert gateway_texts.purge(now=NOW + timedelta(days=7)) == 0
        assert gateway_texts.purge(now=NOW + timedelta(days=7, seconds=1)) == 1
        assert Message.objects.count() == 1

    def test_erasing_the_person_deletes_what_was_not_delivered(self) -> None:
        row = GatewayTextFactory()
        kept = GatewayTextFactory(message__from_number="+14155550199")

        erasure.erase(number=row.message.from_number, reason="asked", actor=UserFactory(), now=NOW)

        assert list(GatewayText.objects.all()) == [kept]

    def test_a_text_past_its_retention_is_not_delivered(self) -> None:
        row = GatewayTextFactory()
        [job] = claim(row)

        retention.erase_texts([row.message_id], now=NOW)

        assert not GatewayText.objects.exists()
        gateway_texts.settle(acknowledged=[], refused=[job], now=NOW)
        gateway_claims.release(GatewayText, [job], now=NOW)
        assert not GatewayText.objects.exists()

    def test_the_table_is_counted_by_state(self) -> None:
        claim(GatewayTextFactory())
        GatewayTextFactory()

        assert gateway_texts.counts() == {"pending": 1, "sending": 1}
