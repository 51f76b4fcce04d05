"""A person wants to be forgotten."""

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command

from messaging.models import Erasure, Message, PhoneNumber, ProviderCallback, Suppression
from messaging.services import erasure as of_messages
from messaging.services.errors import NotErasable
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.services import erasure
from tests.factories import NOW, CallbackFactory, MessageFactory, PhoneNumberFactory, UserFactory
from tests.scheduling.making import due_run, people

pytestmark = pytest.mark.django_db
PERSON, OTHER = "+14155550101", "+14155550102"


@pytest.fixture
def staff():
    return UserFactory(is_staff=True)


def test_number_and_texts_are_gone_and_the_proof_stays(staff) -> None:
    PhoneNumberFactory(number=PERSON)
    sent = MessageFactory(delivered=True, to_number=PERSON)
    CallbackFactory(message=sent, body=PERSON)
    came = MessageFactory(inbound=True, status="processed", from_number=PERSON, to_number="+15005550006")
    kept = MessageFactory(delivered=True, to_number=OTHER)
    Suppression.objects.create(number=PERSON, source="keyword", created_at=NOW)
    due_run(staff, people((PERSON, {}), (OTHER, {})))

    done = erasure.erase(number=PERSON, reason="asked by letter", actor=staff, now=NOW)

    name = done.erasure.pseudonym
    sent.refresh_from_db()
    came.refresh_from_db()
    assert (sent.to_number, sent.text, sent.erased_at, sent.status) == (name, "", NOW, "delivered")
    assert (came.from_number, came.to_number, came.text) == (name, "+15005550006", "")
    assert not PhoneNumber.objects.filter(number=PERSON).exists()
    assert not ProviderCallback.objects.exists()
    assert list(ScheduleRecipient.objects.values_list("number", flat=True)) == [OTHER]
    assert Schedule.objects.get().recipient_count == 1
    assert Message.objects.get(pk=kept.pk).text == "Your code is 123456"
    assert Suppression.objects.get().number == PERSON
    assert (done.erasure.messages, done.canceled, done.erasure.actor) == (2, 0, staff)
    assert list(of_messages.proofs(PERSON)) == [done.erasure]
    entry = LogEntry.objects.get()
    assert entry.change_message == "A person's number and 2 messages erased. Reason: asked by letter"
    assert PERSON not in entry.object_repr + entry.change_message


def test_what_waits_is_canceled_first(staff) -> None:
    waiting = MessageFactory(to_number=PERSON)

    assert erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW).canceled == 1

    waiting.refresh_from_db()
    assert (waiting.status, waiting.text) == ("canceled", "")


def test_what_is_in_the_air_is_waited_for(staff) -> None:
    message = MessageFactory(sending=True, to_number=PERSON)

    with pytest.raises(NotErasable):
        erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW)

    message.refresh_from_db()
    assert (message.to_number, message.text) == (PERSON, "Your code is 123456")
    assert not Erasure.objects.exists()


def test_the_command(staff, capsys) -> None:
    MessageFactory(delivered=True, to_number=PERSON)

    call_command("erase_number", "+1 415 555 0101", reason="asked", by=staff.username)

    proof = Erasure.objects.get()
    assert capsys.readouterr().out == f"1 messages erased, 0 canceled; proof {proof.pk}\n"


@pytest.mark.parametrize(("number", "by"), [("12", "staff"), (PERSON, "nobody")])
def test_the_command_refuses(number: str, by: str) -> None:
    UserFactory(username="staff")

    with pytest.raises(CommandError):
        call_command("erase_number", number, reason="asked", by=by)

    assert not Erasure.objects.exists()
