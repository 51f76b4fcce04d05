"""What becomes of a text that came in: its steps, the words that mean something, and what is answered."""

from datetime import timedelta

import pytest

from messaging.models import Attachment, ClientEvent, KeywordRule, Message, MessageEvent, Suppression
from messaging.services.inbound import keyword_rules
from messaging.services.inbound import process as inbound_steps
from messaging.services.inbound import replies as automatic_replies
from messaging.services.inbound.process import RETRY_DELAY, is_anything_open, process
from messaging.services.inbound.replies import SERVICE_USER
from messaging.services.recipients import suppressions
from tests.database_faults import passing_faults
from tests.factories import AccountFactory, MessageFactory, PhoneNumberFactory, SenderFactory, UserFactory
from tests.messaging.parallel import at_once

PERSON, OTHER = "+14155550101", "+14155550102"
OURS, OURS_TOO = "+15005550006", "+15005550007"
pytestmark = pytest.mark.usefixtures("express")


@pytest.fixture
def ours(db):
    return SenderFactory(number=OURS)


@pytest.fixture
def write(ours):
    """A text of the person's to our number, stored by an older version: its keyword is left to the worker."""

    def write(text: str, **changes) -> Message:
        message = MessageFactory.build(
            **{"inbound": True, "from_number": PERSON, "to_number": OURS, "text": text, **changes}
        )
        PhoneNumberFactory._meta.model.objects.get_or_create(number=message.from_number)
        message.save()
        return message

    return write


def run(now) -> int:
    return process(default_queue="express", now=now)


def steps(message: Message) -> list[tuple[str, str, str]]:
    return [(event.from_status, event.to_status, event.detail) for event in message.events.all()]


def replies() -> list[str]:
    return list(Message.objects.filter(direction="outbound").order_by("pk").values_list("text", flat=True))


def suppressed() -> set[tuple[str, str, str]]:
    return set(Suppression.objects.values_list("number", "sender", "source"))


# --- The steps --------------------------------------------------------------------------------------------------------


def test_no_step_is_older_than_the_text(write, now) -> None:
    """A worker looks at its clock, and then finds a text that came after that."""
    later = now + timedelta(milliseconds=21)
    message = write("Hello", received_at=later)

    assert run(now) == 1

    assert {event.at for event in message.events.all()} == {later}


def test_a_text_is_stored_and_then_processed(write, now) -> None:
    message = write("Hello")

    assert is_anything_open(now=now) is True
    assert run(now) == 1

    message.refresh_from_db()
    assert (message.status, message.updated_at) == ("processed", now)
    assert steps(message) == [("received", "stored", ""), ("stored", "processed", "")]
    assert is_anything_open(now=now) is False
    assert run(now) == 0
    assert replies() == []


def test_its_owner_is_told_when_it_is_processed(write, now) -> None:
    owner = UserFactory()
    message = write("Hello", owner=owner)
    write("nobody's")

    run(now)

    [event] = ClientEvent.objects.all()
    assert (event.type, event.owner, event.message_id, event.at) == ("message.received", owner, message.pk, now)


def test_a_text_waits_for_its_files(write, now) -> None:
    message = write("Look", media_count=1)
    file = Attachment.objects.create(message=message, position=0, source_url="https://a.example/1", next_attempt_at=now)

    assert (is_anything_open(now=now), run(now)) == (True, 1)  # for a keyword that it may have
    assert steps(message) == []
    assert (is_anything_open(now=now), run(now)) == (False, 0)
    Attachment.objects.filter(pk=file.pk).update(next_attempt_at=None, error="gone")

    assert (is_anything_open(now=now), run(now)) == (True, 1)
    assert [step[:2] for step in steps(message)] == [("received", "stored"), ("stored", "processed")]


def test_a_stop_counts_at_once_and_once_whatever_picture_it_carries(write, now) -> None:
    message = write("STOP", media_count=1)
    file = Attachment.objects.create(message=message, position=0, source_url="https://a.example/1", next_attempt_at=now)

    run(now)

    assert (suppressed(), len(replies())) == ({(PERSON, OURS, "keyword")}, 1)
    message.refresh_from_db()
    assert (message.status, message.keyword_read_at) == ("received", now)
    Suppression.objects.all().delete()  # somebody of the staff, for instance
    Attachment.objects.filter(pk=file.pk).update(next_attempt_at=None)
    run(now)
    assert (suppressed(), len(replies())) == (set(), 1)
    assert steps(message)[-1] == ("stored", "processed", "")


def test_a_text_that_was_stored_before_a_crash_goes_on(write, now) -> None:
    message = write("STOP", status="stored")

    run(now)

    assert steps(message) == [("stored", "processed", "stop, reply sent")]


def test_what_cannot_be_processed_does_not_hold_up_the_others(write, now, monkeypatch, caplog) -> None:
    bad, good = write("bad"), write("STOP")
    rules_for = keyword_rules.rules_for
    faults = iter([KeyError("a number that must not be logged")])

    def stumble(number: str) -> dict:
        for fault in faults:
            raise fault
        return rules_for(number)

    monkeypatch.setattr("messaging.services.inbound.process.keyword_rules.rules_for", stumble)

    assert run(now) == 1

    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.next_attempt_at, good.status) == ("received", now + RETRY_DELAY, "processed")
    assert not MessageEvent.objects.filter(message=bad).exists()
    assert caplog.messages == [f"message {bad.pk} cannot be processed: KeyError"]
    assert (is_anything_open(now=now), is_anything_open(now=now + RETRY_DELAY)) == (False, True)
    assert run(now + RETRY_DELAY) == 1


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
def test_a_database_that_is_unavailable_is_no_fault_of_the_text(write, now, monkeypatch, fault) -> None:
    message = write("Hello")

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("messaging.services.inbound.process._process_one", fail)

    with pytest.raises(type(fault)):
        run(now)
    message.refresh_from_db()
    assert message.next_attempt_at is None


@pytest.mark.django_db(transaction=True)
def test_two_workers_process_each_text_once(write, now) -> None:
    messages = [write("HELP", from_number=f"+1415555020{number}") for number in range(6)]

    done = at_once([lambda: run(now)] * 4)

    assert sum(done) == 6
    assert len(replies()) == 6
    assert all(len(steps(message)) == 2 for message in messages)


# --- The words --------------------------------------------------------------------------------------------------------


def test_stop_suppresses_this_sender_and_is_confirmed_to_who_has_opted_out(write, now) -> None:
    message = write(" Stóp! ")

    run(now)

    assert suppressed() == {(PERSON, OURS, "keyword")}
    reply = Message.objects.get(direction="outbound")
    assert (reply.to_number, reply.from_number, reply.status, reply.is_automatic) == (PERSON, OURS, "queued", True)
    assert steps(message)[-1] == ("stored", "processed", "stop, reply sent")


def test_a_second_stop_is_not_confirmed_again(write, now) -> None:
    write("STOP")
    run(now)
    again = write("stop")

    run(now + timedelta(hours=2))

    assert len(replies()) == 1
    assert steps(again)[-1][2] == "stop, nothing to change"


def test_stop_all_suppresses_every_sender(write, now) -> None:
    write("STOP ALL")

    run(now)

    assert suppressed() == {(PERSON, "", "keyword")}


def test_start_lifts_what_keywords_and_providers_have_put_and_nothing_of_staffs(write, now) -> None:
    for sender, source in [(OURS, "keyword"), ("", "provider"), ("+15005550007", "keyword")]:
        Suppression.objects.create(number=PERSON, sender=sender, source=source, created_at=now)
    write("START")

    run(now)

    assert suppressed() == {(PERSON, "+15005550007", "keyword")}
    Suppression.objects.update(source="admin", sender=OURS)
    write("START")
    run(now)
    assert suppressed() == {(PERSON, OURS, "admin")}


def test_an_older_word_does_not_undo_a_newer_one(write, now) -> None:
    older = write("STOP", next_attempt_at=now + RETRY_DELAY)
    newer = write("START", media_count=1)
    Attachment.objects.create(message=newer, position=0, source_url="https://a.example/1", next_attempt_at=now)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == set()
    assert steps(older)[-1][2] == "stop: a newer keyword was processed first"


@pytest.mark.parametrize("newer", ["HELP", "Hello"])
def test_a_newer_text_that_is_no_such_word_changes_nothing(write, now, newer: str) -> None:
    write("STOP", next_attempt_at=now + RETRY_DELAY)
    write(newer)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == {(PERSON, OURS, "keyword")}


@pytest.mark.django_db(transaction=True)
def test_the_last_word_wins_whichever_worker_is_first(write, now) -> None:
    Suppression.objects.create(number=PERSON, sender=OURS, source="keyword", created_at=now)
    ids = [write(word).pk for word in ("STOP", "START")]

    at_once([lambda pk=pk: inbound_steps._process_one(pk, "express", now) for pk in reversed(ids)])

    assert suppressed() == set()


@pytest.mark.parametrize(
    ("stood", "words", "stands"),
    [
        ([OURS, ""], ("START", "STOP ALL"), [""]),
        ([], ("STOP ALL", "START"), []),
        ([], ("STOP", "START"), [OURS]),
        ([], ("STOP ALL", "STOP"), ["", OURS_TOO]),
        ([OURS, ""], ("START", "STOP"), [OURS_TOO]),
    ],
)
def test_the_last_word_wins_also_where_it_was_sent_to_another_number(
    write, now, stood: list[str], words: tuple[str, str], stands: list[str]
) -> None:
    """What the older one says of its own number stands, but for what the newer one says of all of them."""
    older, newer = words
    for sender in stood:
        Suppression.objects.create(number=PERSON, sender=sender, source="keyword", created_at=now)
    write(older, next_attempt_at=now + RETRY_DELAY)
    write(newer, to_number=OURS_TOO)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == {(PERSON, sender, "keyword") for sender in stands}


def test_a_word_that_the_provider_has_understood_counts_whatever_the_text_is(write, now) -> None:
    account = AccountFactory(slug="acme")
    write("Arrêt", provider=account, provider_keyword="stop", is_automatic=True)
    run(now)
    assert suppressed() == {(PERSON, OURS, "keyword")}

    write("YES", provider=account, provider_keyword="start", is_automatic=True)
    run(now)

    assert suppressed() == set()
    assert replies() == []


def test_a_word_of_another_kind_of_the_providers_leaves_the_text_to_us(write, now) -> None:
    write("STOP", provider=AccountFactory(slug="acme"), provider_keyword="other", is_automatic=True)

    run(now)

    assert suppressed() == {(PERSON, OURS, "keyword")}


def test_a_persons_own_word_stands_beside_what_a_client_has_put_there(write, now) -> None:
    suppressions.add_by_user(number=PERSON, sender="", reason="", actor=UserFactory(), now=now)
    write("STOP ALL")

    run(now)

    assert suppressed() == {(PERSON, "", "api"), (PERSON, "", "keyword")}


def test_a_client_cannot_take_back_for_all_what_it_has_not_brought(write, now) -> None:
    write("STOP ALL", provider=AccountFactory(slug="acme"))
    write("STOP ALL", owner=UserFactory(), from_number=OTHER)
    run(now)

    client = UserFactory()
    write("START", owner=client)
    write("START", owner=client, from_number=OTHER)
    run(now)

    assert suppressed() == {(PERSON, "", "keyword"), (OTHER, "", "keyword")}


def test_a_client_that_has_brought_the_word_may_bring_the_other(write, now) -> None:
    client = UserFactory()
    write("STOP ALL", owner=client)
    run(now)
    write("START", owner=client)

    run(now)

    assert suppressed() == set()


def test_what_a_provider_brings_too_is_no_longer_one_clients_word(write, now) -> None:
    client = UserFactory()
    write("STOP ALL", owner=client)
    write("STOP ALL", provider=AccountFactory(slug="acme"))
    write("START", owner=client)

    run(now)

    assert suppressed() == {(PERSON, "", "keyword")}


def test_what_a_client_posts_as_written_to_anothers_number_changes_nothing_there(write, ours, now) -> None:
    ours.owner = UserFactory()
    ours.save()
    message = write("STOP", owner=UserFactory())

    run(now)

    assert suppressed() == set()
    assert replies() == []
    assert steps(message)[-1][2] == "stop: the number belongs to another client"


def test_a_numbers_own_words_take_the_place_of_the_others(write, ours, now) -> None:
    KeywordRule.objects.create(action="stop", words="genug", reply="")
    KeywordRule.objects.create(sender_number=ours, action="stop", words="Schluss\nAus!", reply="Tschüss")
    write("STOP")
    write("genug")
    run(now)
    assert suppressed() == set()
    write("aus")

    run(now)

    assert (suppressed(), replies()) == ({(PERSON, OURS, "keyword")}, ["Tschüss"])


def test_words_for_every_number_are_for_those_without_their_own(write, now) -> None:
    KeywordRule.objects.create(action="help", words="hilfe", reply="Hier!")
    write("Hilfe?")

    run(now)

    assert replies() == ["Hier!"]


# --- The answers ------------------------------------------------------------------------------------------------------


def test_nobody_gets_more_than_one_answer_in_an_hour(write, now) -> None:
    for minutes in (0, 30, 59):
        write("HELP")
        run(now + timedelta(minutes=minutes))
    assert len(replies()) == 1
    write("HELP")

    run(now + automatic_replies.MIN_INTERVAL)

    assert len(replies()) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"error_code": "too_long"},
        {"error_code": "sender_rate_limited"},
        {"is_automatic": True},
        {"from_number": "12345"},
        {"from_number": "ACME"},
        {"from_number": OURS},
        {"to_number": "+15005550099"},
    ],
    ids=repr,
)
def test_what_gets_no_answer(write, now, changes: dict) -> None:
    message = write("STOP", **changes)

    run(now)

    assert replies() == []
    assert suppressed() == {(message.from_number, message.to_number, "keyword")}


def test_an_accounts_own_number_answers_too(write, now) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550099"})
    write("HELP", to_number="+15005550099")

    run(now)

    assert Message.objects.get(direction="outbound").from_number == "+15005550099"


def test_an_inactive_number_gets_no_answer(write, now, caplog) -> None:
    message = write("STOP")
    PhoneNumberFactory._meta.model.objects.update(status="inactive")

    run(now)

    assert (replies(), suppressed()) == ([], {(PERSON, OURS, "keyword")})
    assert caplog.messages == [f"the automatic reply to message {message.pk} was refused: recipient_inactive"]
    PhoneNumberFactory._meta.model.objects.update(status="active")
    write("START")
    run(now)
    assert len(replies()) == 1  # what was refused has not used up the hour


def test_a_rule_without_a_reply_answers_nothing(write, now) -> None:
    KeywordRule.objects.create(action="stop", words="stop", reply="")
    write("STOP")

    run(now)

    assert (replies(), len(suppressed())) == ([], 1)


def test_an_answer_to_nobodys_text_belongs_to_a_user_who_cannot_log_in(write, now) -> None:
    write("HELP")

    run(now)

    owner = Message.objects.get(direction="outbound").owner
    assert (owner.username, owner.is_active, owner.has_usable_password()) == (SERVICE_USER, False, False)


def test_an_answer_to_somebodys_text_belongs_to_them(write, now) -> None:
    owner = UserFactory()
    write("HELP", owner=owner)

    run(now)

    assert Message.objects.get(direction="outbound").owner == owner
