"""Data migrations that give stored numbers their canonical form."""

from importlib import import_module
from uuid import uuid4

import pytest
from django.apps import apps

from messaging.models import Message, PhoneNumber, Suppression
from messaging.services.outbound.dispatch.claim import claim
from messaging.services.outbound.eligibility import Batch, Moment
from providers.models import SenderNumber
from scheduling.models import Schedule, ScheduleRecipient
from tests.factories import NOW, MessageFactory, PhoneNumberFactory, QueueFactory, SenderFactory, UserFactory
from tests.messaging.services.outbound.dispatch.fakes import LEASE
from tests.scheduling.making import create, recipient_list

pytestmark = pytest.mark.django_db
SENDERS = import_module("providers.migrations.0005_senders_of_every_kind")
MESSAGING = import_module("messaging.migrations.0023_one_form_of_each_number")
SCHEDULING = import_module("scheduling.migrations.0006_one_form_of_each_number")
PERSON, OURS = "+14155550101", "+15005550006"


def test_a_sender_gets_its_canonical_form_and_names_stay() -> None:
    for number in ("+541123456789", "+15005550006", "80888", "ACME"):
        SenderFactory(number=number)

    SENDERS.forwards(apps, None)

    assert set(SenderNumber.objects.values_list("number", flat=True)) == {
        *("+5491123456789", "+15005550006", "80888", "ACME")
    }


def test_a_sender_whose_canonical_form_is_taken_stays() -> None:
    for number in ("+541123456789", "+5491123456789"):
        SenderFactory(number=number)

    SENDERS.forwards(apps, None)

    assert set(SenderNumber.objects.values_list("number", flat=True)) == {"+541123456789", "+5491123456789"}


class TestOneForm:
    def test_opt_outs_get_the_form_of_new_texts(self) -> None:
        for number, sender in (("+541123456789", ""), ("+5215512345678", OURS), ("5215512345679", OURS), (PERSON, "+541100000000")):
            Suppression.objects.create(number=number, sender=sender, source="keyword", created_at=NOW)

        MESSAGING.forwards(apps, None)

        assert suppressed() == [
            *((PERSON, "+5491100000000"), ("+525512345678", OURS), ("+525512345679", OURS), ("+5491123456789", ""))
        ]

    def test_opt_outs_that_become_alike_are_one(self) -> None:
        client = UserFactory()
        for number in ("+5215512345678", "5215512345678", "+525512345678"):
            for source, by in (("keyword", None), ("api", client), ("api", UserFactory())):
                Suppression.objects.create(number=number, sender="", source=source, created_by=by, created_at=NOW)

        MESSAGING.forwards(apps, None)

        assert set(Suppression.objects.values_list("number", flat=True)) == {"+525512345678"}
        assert Suppression.objects.filter(source="keyword").count() == 1
        assert Suppression.objects.filter(source="api", created_by=client).count() == 1
        assert Suppression.objects.filter(source="api").count() == 4

    def test_a_number_that_was_inactive_in_either_form_stays_inactive(self) -> None:
        PhoneNumberFactory(number="+541123456789", inactive=True)
        PhoneNumberFactory(number="+5491123456789")
        PhoneNumberFactory(number="+541123456780", inactive=True)
        PhoneNumberFactory(number="+549112345678")

        MESSAGING.forwards(apps, None)

        assert list(PhoneNumber.objects.order_by("number").values_list("number", "status", "reason")) == [
            ("+549112345678", "active", ""),
            ("+5491123456780", "inactive", "unreachable"),
            ("+5491123456789", "inactive", "unreachable"),
        ]

    def test_unsent_messages_follow_and_history_stays(self) -> None:
        unsent = [MessageFactory(to_number="+541123456789", **state) for state in ({}, {"status": "scheduled"}, {"sending": True})]
        sent = MessageFactory(to_number="+541123456789", sent=True)
        received = MessageFactory(inbound=True, from_number=PERSON, to_number="+541123456789")

        MESSAGING.forwards(apps, None)

        numbers = dict(Message.objects.values_list("pk", "to_number"))
        assert {numbers[each.pk] for each in unsent} == {"+5491123456789"}
        assert {numbers[each.pk] for each in (sent, received)} == {"+541123456789"}

    def test_of_two_texts_of_one_run_to_one_person_one_is_canceled(self) -> None:
        queue, run = QueueFactory(), uuid4()
        kept, other = (MessageFactory(queue=queue, to_number=each, run_id=run) for each in ("+5491123456789", "+541123456789"))

        MESSAGING.forwards(apps, None)

        assert [each.pk for each in claim(queue_name=queue.name, limit=9, now=NOW, lease=LEASE)] == [kept.pk]
        other.refresh_from_db()
        assert other.status == "canceled"

    def test_the_sender_of_unsent_texts_follows_so_that_opt_outs_from_it_hold(self) -> None:
        sender, new = "+5215512345678", "+525512345678"
        SenderFactory(number=sender)
        Suppression.objects.create(number=PERSON, sender=sender, source="keyword", created_at=NOW)
        unsent = MessageFactory(to_number=PERSON, from_number=sender)
        sent = MessageFactory(to_number=PERSON, from_number=sender, sent=True)
        schedule = create(UserFactory(), recipient_list(PERSON))
        Schedule.objects.filter(pk=schedule.pk).update(from_number=sender)

        for migration in (SENDERS, MESSAGING, SCHEDULING):
            migration.forwards(apps, None)

        for row, number in ((unsent, new), (sent, sender), (schedule, new)):
            row.refresh_from_db()
            assert row.from_number == number
        [refused] = Batch([unsent], now=NOW).refusals(Moment.CALL).values()
        assert refused.check.code == "recipient_opted_out"

    def test_a_schedule_lists_each_number_once(self) -> None:
        QueueFactory()
        numbers = ("+541123456789", "+5491123456789", "+541123456780", PERSON)
        schedule = create(UserFactory(), recipient_list(*numbers))
        other = create(UserFactory(), recipient_list("+541123456789"))

        SCHEDULING.forwards(apps, None)

        rows = ScheduleRecipient.objects.order_by("pk").values_list("schedule", "number")
        assert list(rows) == [
            *((schedule.pk, number) for number in ("+5491123456789", "+5491123456780", PERSON)),
            (other.pk, "+5491123456789"),
        ]
        assert list(Schedule.objects.order_by("pk").values_list("recipient_count", flat=True)) == [3, 1]


def suppressed() -> list[tuple[str, str]]:
    return list(Suppression.objects.order_by("number").values_list("number", "sender"))
