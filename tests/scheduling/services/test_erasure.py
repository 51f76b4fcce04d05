"""Erasing a phone number."""

from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command

from messaging.console import audit
from messaging.models import Erasure, Message, PhoneNumber, ProviderCallback, Suppression
from messaging.services.errors import NotErasable
from messaging.services.outbound import idempotency
from messaging.services.privacy import erasure as of_messages
from messaging.services.representation import serialize_message
from scheduling.models import Schedule, ScheduleRecipient
from scheduling.services import erasure
from tests.factories import NOW, CallbackFactory, MessageFactory, PhoneNumberFactory, UserFactory, lose_the_key
from tests.scheduling.making import due_run, recipient_list

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
    due_run(staff, recipient_list((PERSON, {}), (OTHER, {})))

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


def test_a_message_in_flight_must_be_waited_for(staff) -> None:
    message = MessageFactory(sending=True, to_number=PERSON)

    due_run(staff, recipient_list(PERSON))
    with pytest.raises(NotErasable):
        erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW)

    message.refresh_from_db()
    assert (message.to_number, message.text, message.cancel_requested) == (PERSON, "Your code is 123456", False)
    assert ScheduleRecipient.objects.get().number == PERSON
    assert Schedule.objects.get().recipient_count == 1
    assert not Erasure.objects.exists()


def test_a_message_claimed_meanwhile_is_not_erased_and_not_sent_twice(staff, monkeypatch, capsys) -> None:
    MessageFactory(delivered=True, to_number=PERSON)
    begun = MessageFactory(sending=True, to_number=PERSON)
    monkeypatch.setattr(of_messages, "refuse_in_flight", lambda _number: None)

    with pytest.raises(CommandError, match="1 messages in flight were not erased"):
        call_command("erase_number", PERSON, reason="asked", by=staff.username)

    begun.refresh_from_db()
    assert (begun.status, begun.to_number, begun.text) == ("sending", PERSON, "Your code is 123456")
    assert (begun.erased_at, begun.cancel_requested) == (None, True)
    assert "1 messages erased" in capsys.readouterr().out


def test_every_key_of_a_client_still_keeps_it_from_sending_twice(staff) -> None:
    owner = UserFactory()
    for key, to in (("person", PERSON), ("other", OTHER)):
        once(owner, key, partial(serialize_message, MessageFactory(owner=owner, delivered=True, to_number=to)))
    once(owner, "batch", lambda: {"accepted": 1, "results": [{"index": 0, "id": "x"}]})

    done = erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW)

    assert once(owner, "other", pytest.fail) == (serialize_message(Message.objects.get(to_number=OTHER)), True)
    answer, is_replay = once(owner, "person", pytest.fail)
    assert is_replay
    assert (answer["to"], answer["message"], answer["status"]) == (done.erasure.pseudonym, "", "delivered")
    assert once(owner, "batch", pytest.fail) == ({"accepted": 1, "results": [{"index": 0, "id": "x"}]}, True)


def once(owner, key: str, act) -> tuple[dict, bool]:
    return idempotency.once(owner=owner, key=key, request_fingerprints=["f"], now=NOW, operation=act)


@pytest.mark.parametrize("state", ["malformed", "unmatched"])
@pytest.mark.parametrize("body", [f"From={PERSON}", "From=%2B14155550101", '{"from": "14155550101", "text": "Hi"}'])
def test_callbacks_that_belong_to_no_message_go_where_they_hold_the_number(staff, state: str, body: str) -> None:
    CallbackFactory(state=state, body=body)
    kept = {CallbackFactory(state=state, body=text).pk for text in (OTHER, f"{PERSON}5", "{}")}
    lost = CallbackFactory(state=state, body=PERSON)
    lose_the_key(lost, "body")

    erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW)

    assert set(ProviderCallback.objects.values_list("pk", flat=True)) == kept | {lost.pk}


def test_the_audit_log_has_the_pseudonym_in_its_place(staff) -> None:
    audit.record(staff, [PhoneNumberFactory(number=PERSON), PhoneNumberFactory(number=OTHER)], "Deactivated")
    audit.record_on_table(staff, Message, "Exported as CSV: q=%2B14155550101.")

    name = erasure.erase(number=PERSON, reason="x", actor=staff, now=NOW).erasure.pseudonym

    assert list(LogEntry.objects.order_by("pk").values_list("object_id", "object_repr", "change_message"))[:3] == [
        (name, name, "Deactivated."),
        (OTHER, OTHER, "Deactivated."),
        (None, "messages", f"Exported as CSV: q={name}."),
    ]


def test_a_proof_is_found_through_an_exchange_of_the_secret_key(staff, settings, capsys) -> None:
    settings.SECRET_KEY = "old"
    proof = erasure.erase(number=PERSON, reason="asked", actor=staff, now=NOW).erasure
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]

    call_command("erasure_proof", "+1 415 555 0101")

    assert capsys.readouterr().out == (
        f"{proof.pk}: erased at 2026-11-22 09:00:00 UTC by {staff}, 0 messages, as {proof.pseudonym}; asked\n"
    )
    for number, why in ((OTHER, "no proof"), ("12", "number")):
        with pytest.raises(CommandError, match=why):
            call_command("erasure_proof", number)


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
