"""Processing of inbound texts: status changes, keywords and replies."""

from datetime import timedelta

import pytest

from messaging.models import Attachment, ClientEvent, KeywordRule, Message, MessageEvent, Suppression
from messaging.services.inbound import keyword_rules
from messaging.services.inbound.process import RETRY_DELAY, _process_one, open_texts, process
from messaging.services.inbound.replies import MIN_INTERVAL, SERVICE_USER
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
    """Stores a text of the person to our number as an older version did: the worker applies its keyword."""

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


# --- Status changes ---------------------------------------------------------------------------------------------------


def test_no_history_row_is_older_than_the_text(write, now) -> None:
    """A worker reads its clock, then finds a text that arrived later."""
    later = now + timedelta(milliseconds=21)
    message = write("Hello", received_at=later)

    assert run(now) == 1

    assert {event.at for event in message.events.all()} == {later}


def test_a_text_is_stored_and_then_processed(write, now) -> None:
    message = write("Hello")

    assert open_texts(now).exists() is True
    assert run(now) == 1

    message.refresh_from_db()
    assert (message.status, message.updated_at) == ("processed", now)
    assert steps(message) == [("received", "stored", ""), ("stored", "processed", "")]
    assert open_texts(now).exists() is False
    assert run(now) == 0
    assert replies() == []


def test_its_owner_is_notified_when_it_is_processed(write, now) -> None:
    owner = UserFactory()
    message = write("Hello", owner=owner)
    write("nobody's")

    run(now)

    [event] = ClientEvent.objects.all()
    assert (event.type, event.owner, event.message_id, event.at) == ("message.received", owner, message.pk, now)


def test_a_text_waits_for_its_files(write, now) -> None:
    message = write("Look", media_count=1)
    file = Attachment.objects.create(message=message, position=0, source_url="https://a.example/1", next_attempt_at=now)

    assert (open_texts(now).exists(), run(now)) == (True, 1)  # for a keyword that it may have
    assert steps(message) == []
    assert (open_texts(now).exists(), run(now)) == (False, 0)
    Attachment.objects.filter(pk=file.pk).update(next_attempt_at=None, error="gone")

    assert (open_texts(now).exists(), run(now)) == (True, 1)
    assert [step[:2] for step in steps(message)] == [("received", "stored"), ("stored", "processed")]


def test_a_stop_with_media_takes_effect_at_once_and_once(write, now) -> None:
    message = write("STOP", media_count=1)
    file = Attachment.objects.create(message=message, position=0, source_url="https://a.example/1", next_attempt_at=now)

    run(now)

    assert (suppressed(), len(replies())) == ({(PERSON, OURS, "keyword")}, 1)
    message.refresh_from_db()
    assert (message.status, message.keyword_read_at) == ("received", now)
    Suppression.objects.all().delete()  # for instance by staff
    Attachment.objects.filter(pk=file.pk).update(next_attempt_at=None)
    run(now)
    assert (suppressed(), len(replies())) == (set(), 1)
    assert steps(message)[-1] == ("stored", "processed", "")


def test_a_text_stored_before_a_crash_is_processed(write, now) -> None:
    message = write("STOP", status="stored")

    run(now)

    assert steps(message) == [("stored", "processed", "stop, reply sent")]


def test_a_text_that_cannot_be_processed_does_not_block_the_others(write, now, monkeypatch, caplog) -> None:
    bad, good = write("bad"), write("STOP")
    rules_for = keyword_rules.rules_for
    faults = iter([KeyError("a number that must not be logged")])

    def fail_for(number: str) -> dict:
        for fault in faults:
            raise fault
        return rules_for(number)

    monkeypatch.setattr("messaging.services.inbound.process.keyword_rules.rules_for", fail_for)

    assert run(now) == 1

    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.next_attempt_at, good.status) == ("received", now + RETRY_DELAY, "processed")
    assert not MessageEvent.objects.filter(message=bad).exists()
    assert caplog.messages == [f"message {bad.pk} cannot be processed: KeyError"]
    assert (open_texts(now).exists(), open_texts(now + RETRY_DELAY).exists()) == (False, True)
    assert run(now + RETRY_DELAY) == 1


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
def test_an_unavailable_database_does_not_defer_the_text(write, now, monkeypatch, fault) -> None:
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


# --- Keywords ---------------------------------------------------------------------------------------------------------


def test_stop_suppresses_this_sender_and_is_confirmed(write, now) -> None:
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


def test_start_lifts_opt_outs_by_keyword_and_provider_but_not_staffs(write, now) -> None:
    for sender, source in [(OURS, "keyword"), ("", "provider"), ("+15005550007", "keyword")]:
        Suppression.objects.create(number=PERSON, sender=sender, source=source, created_at=now)
    write("START")

    run(now)

    assert suppressed() == {(PERSON, "+15005550007", "keyword")}
    Suppression.objects.update(source="admin", sender=OURS)
    write("START")
    run(now)
    assert suppressed() == {(PERSON, OURS, "admin")}


def test_an_older_keyword_does_not_undo_a_newer_one(write, now) -> None:
    older = write("STOP", next_attempt_at=now + RETRY_DELAY)
    newer = write("START", media_count=1)
    Attachment.objects.create(message=newer, position=0, source_url="https://a.example/1", next_attempt_at=now)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == set()
    assert steps(older)[-1][2] == "stop: a newer keyword was processed first"


@pytest.mark.parametrize("newer", ["HELP", "Hello"])
def test_a_newer_text_without_a_keyword_changes_nothing(write, now, newer: str) -> None:
    write("STOP", next_attempt_at=now + RETRY_DELAY)
    write(newer)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == {(PERSON, OURS, "keyword")}


@pytest.mark.django_db(transaction=True)
def test_the_newest_keyword_wins_in_any_order_of_processing(write, now) -> None:
    Suppression.objects.create(number=PERSON, sender=OURS, source="keyword", created_at=now)
    ids = [write(word).pk for word in ("STOP", "START")]

    at_once([lambda pk=pk: _process_one(pk, "express", now) for pk in reversed(ids)])

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
def test_the_newest_keyword_wins_across_numbers(
    write, now, stood: list[str], words: tuple[str, str], stands: list[str]
) -> None:
    """The older keyword still applies to its own number; the newer one wins for all senders."""
    older, newer = words
    for sender in stood:
        Suppression.objects.create(number=PERSON, sender=sender, source="keyword", created_at=now)
    write(older, next_attempt_at=now + RETRY_DELAY)
    write(newer, to_number=OURS_TOO)
    run(now)

    run(now + RETRY_DELAY)

    assert suppressed() == {(PERSON, sender, "keyword") for sender in stands}


def test_the_providers_keyword_wins_over_the_text(write, now) -> None:
    account = AccountFactory(slug="acme")
    write("Arrêt", provider=account, provider_keyword="stop", is_automatic=True)
    run(now)
    assert suppressed() == {(PERSON, OURS, "keyword")}

    write("YES", provider=account, provider_keyword="start", is_automatic=True)
    run(now)

    assert suppressed() == set()
    assert replies() == []


def test_an_unlisted_provider_keyword_leaves_the_text_to_our_rules(write, now) -> None:
    write("STOP", provider=AccountFactory(slug="acme"), provider_keyword="other", is_automatic=True)

    run(now)

    assert suppressed() == {(PERSON, OURS, "keyword")}


def test_an_opt_out_by_keyword_is_separate_from_a_clients_suppression(write, now) -> None:
    suppressions.add_by_user(number=PERSON, sender="", reason="", actor=UserFactory(), now=now)
    write("STOP ALL")

    run(now)

    assert suppressed() == {(PERSON, "", "api"), (PERSON, "", "keyword")}


def test_a_client_cannot_lift_a_global_opt_out_that_it_did_not_post(write, now) -> None:
    write("STOP ALL", provider=AccountFactory(slug="acme"))
    write("STOP ALL", owner=UserFactory(), from_number=OTHER)
    run(now)

    client = UserFactory()
    write("START", owner=client)
    write("START", owner=client, from_number=OTHER)
    run(now)

    assert suppressed() == {(PERSON, "", "keyword"), (OTHER, "", "keyword")}


def test_a_client_that_posted_the_stop_may_post_the_start(write, now) -> None:
    client = UserFactory()
    write("STOP ALL", owner=client)
    run(now)
    write("START", owner=client)

    run(now)

    assert suppressed() == set()


def test_a_stop_confirmed_by_a_provider_no_longer_belongs_to_a_client(write, now) -> None:
    client = UserFactory()
    write("STOP ALL", owner=client)
    write("STOP ALL", provider=AccountFactory(slug="acme"))
    write("START", owner=client)

    run(now)

    assert suppressed() == {(PERSON, "", "keyword")}


def test_a_clients_text_to_another_clients_number_changes_nothing(write, ours, now) -> None:
    ours.owner = UserFactory()
    ours.save()
    message = write("STOP", owner=UserFactory())

    run(now)

    assert suppressed() == set()
    assert replies() == []
    assert steps(message)[-1][2] == "stop: the number belongs to another client"


def test_a_numbers_own_words_replace_the_others(write, ours, now) -> None:
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


# --- Replies ----------------------------------------------------------------------------------------------------------


def test_a_number_gets_at_most_one_reply_in_an_hour(write, now) -> None:
    for minutes in (0, 30, 59):
        write("HELP")
        run(now + timedelta(minutes=minutes))
    assert len(replies()) == 1
    write("HELP")

    run(now + MIN_INTERVAL)

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
def test_texts_without_a_reply(write, now, changes: dict) -> None:
    message = write("STOP", **changes)

    run(now)

    assert replies() == []
    assert suppressed() == {(message.from_number, message.to_number, "keyword")}


def test_an_accounts_own_number_replies_too(write, now) -> None:
    AccountFactory(config={"url": "http://127.0.0.1:9/", "from_number": "+15005550099"})
    write("HELP", to_number="+15005550099")

    run(now)

    assert Message.objects.get(direction="outbound").from_number == "+15005550099"


def test_an_inactive_number_gets_no_reply(write, now, caplog) -> None:
    message = write("STOP")
    PhoneNumberFactory._meta.model.objects.update(status="inactive")

    run(now)

    assert (replies(), suppressed()) == ([], {(PERSON, OURS, "keyword")})
    assert caplog.messages == [f"the automatic reply to message {message.pk} was refused: recipient_inactive"]
    PhoneNumberFactory._meta.model.objects.update(status="active")
    write("START")
    run(now)
    assert len(replies()) == 1  # the refused reply did not start the interval


def test_a_rule_without_a_reply_sends_none(write, now) -> None:
    KeywordRule.objects.create(action="stop", words="stop", reply="")
    write("STOP")

    run(now)

    assert (replies(), len(suppressed())) == ([], 1)


def test_a_reply_to_a_text_without_an_owner_belongs_to_the_service_user(write, now) -> None:
    write("HELP")

    run(now)

    owner = Message.objects.get(direction="outbound").owner
    assert (owner.username, owner.is_active, owner.has_usable_password()) == (SERVICE_USER, False, False)


def test_a_reply_belongs_to_the_texts_owner(write, now) -> None:
    owner = UserFactory()
    write("HELP", owner=owner)

    run(now)

    assert Message.objects.get(direction="outbound").owner == owner
