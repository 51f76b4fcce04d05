"""Parts of long replies: put together, or shown as they are after five minutes."""

import itertools
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from messaging import tasks
from messaging.models import InboundPart, Message, PhoneNumber, Suppression
from messaging.services.inbound import late_parts
from messaging.services.inbound.late_parts import RETRY_DELAY
from messaging.services.inbound.receive import InboundLimits, Received, ingest, ingest_all
from messaging.services.outbound import recovery
from messaging.services.privacy import erasure
from providers.contract.messages import InboundMessage, MessagePart, ProviderKeyword
from tests.factories import InboundPartFactory, UserFactory, lose_the_key
from tests.messaging.parallel import at_once

PERSON, OURS = "+14155550101", "+15005550006"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
WAIT = 300


def part(number: int, count: int, words: str, *, reference: str = "7", **changes) -> InboundMessage:
    given = {"provider_message_id": "", "sender": PERSON, "recipient": OURS, "text": words, **changes}
    return InboundMessage(**given, part=MessagePart(reference, number, count))


@pytest.fixture
def bring(account, now):
    """Delivers a part, `after` seconds after `now`."""

    def bring(number: int, count: int, words: str, *, after: float = 0, account=account, **changes) -> Received | None:
        text = part(number, count, words, **changes)
        return ingest(text, account=account, limits=LIMITS, now=now + timedelta(seconds=after))

    return bring


@pytest.fixture
def finish(now):
    """What the worker does with late parts, `after` seconds after `now`."""

    def finish(after: float = WAIT) -> int:
        return late_parts.store_due(limits=LIMITS, now=now + timedelta(seconds=after))

    return finish


def texts() -> list[str]:
    return [message.text for message in Message.objects.order_by("pk")]


def suppressed() -> set[tuple[str, str]]:
    return set(Suppression.objects.values_list("number", "sender"))


# --- All parts arrive -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_parts_in_any_order_are_one_text(bring, account, now, order: tuple[int, ...]) -> None:
    words = {1: "One, ", 2: "two, ", 3: "three"}
    first, second, third = order

    assert bring(first, 3, words[first], provider_message_id=f"p{first}") is None
    assert bring(second, 3, words[second], provider_message_id=f"p{second}", after=1) is None
    assert not Message.objects.exists()
    received = bring(third, 3, words[third], provider_message_id=f"p{third}", after=2)

    message = Message.objects.get()
    assert received == Received(message, is_repeat=False)
    assert (message.text, message.error_code, message.provider) == ("One, two, three", "", account)
    assert (message.from_number, message.to_number, message.provider_message_id) == (PERSON, OURS, "p1")
    assert (message.status, message.received_at) == ("received", now + timedelta(seconds=2))
    assert set(InboundPart.objects.values_list("message", "text")) == {(message.pk, "")}


def test_the_texts_of_others_are_not_mixed_in(bring, finish) -> None:
    bring(1, 2, "A")
    bring(2, 2, "another sender", sender="+14155550102")
    bring(2, 2, "another recipient", recipient="+15005550007")
    bring(2, 2, "another reference", reference="8")
    bring(2, 3, "another count")

    assert texts() == []
    assert finish() == 5


def test_a_reference_that_comes_again_begins_another_text(bring) -> None:
    bring(1, 2, "A1 ")
    bring(1, 2, "B1 ")
    bring(2, 2, "A2")
    bring(2, 2, "B2")

    assert texts() == ["A1 A2", "B1 B2"]


@pytest.mark.parametrize(
    ("place", "reference"), [((1, 1), "7"), ((0, 2), "7"), ((3, 2), "7"), ((1, 300), "7"), ((1, 0), "7"), ((1, 2), "")]
)
def test_a_part_whose_place_cannot_be_true_is_a_text(bring, place, reference: str) -> None:
    assert bring(*place, "Hello", reference=reference) is not None

    assert texts() == ["Hello"]
    assert not InboundPart.objects.exists()


def test_the_media_of_all_parts_are_kept_and_faults_are_counted(bring) -> None:
    bring(2, 2, "", media_urls=("https://a.example/2", "https://a.example/1", "ftp://a.example/3"))
    bring(1, 2, "", media_urls=("https://a.example/1",))

    message = Message.objects.get()
    assert list(message.attachments.values_list("source_url", "error_code")) == [
        ("https://a.example/1", ""), ("https://a.example/2", ""), ("", "not_kept"),
    ]  # fmt: skip
    assert (message.media_count, message.error_code) == (3, "media_left_out")
    assert message.error_detail.startswith("1 of the media")


def test_a_long_sender_is_kept_as_it_came(bring) -> None:
    for number in (1, 2):
        bring(number, 2, "x", sender="somebody@example.com")

    message = Message.objects.get()
    assert message.from_number.startswith("somebody@e…")
    assert message.callbacks.get().body == '{"from": "somebody@example.com"}'
    assert not InboundPart.objects.exclude(unabridged={}).exists()


def test_a_long_text_counts_once_towards_the_rate(bring) -> None:
    for text in range(2):
        for number in range(1, 6):
            bring(number, 5, "x", reference=str(text), after=text)

    assert list(Message.objects.values_list("error_code", flat=True)) == ["", ""]


# --- Repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_id", ["", "p1"])
def test_a_part_that_comes_again_is_a_repeat_before_and_after_its_text_is_stored(bring, message_id: str) -> None:
    bring(1, 2, "A1 ", provider_message_id=message_id)
    assert bring(1, 2, "A1 ", provider_message_id=message_id, after=1) is None
    bring(2, 2, "A2", after=2)

    again = bring(1, 2, "A1 ", provider_message_id=message_id, after=3)

    assert again == Received(Message.objects.get(), is_repeat=True)
    assert texts() == ["A1 A2"]
    assert InboundPart.objects.count() == 2


def test_all_parts_may_have_the_same_id(bring) -> None:
    bring(1, 2, "A1 ", provider_message_id="p")
    bring(2, 2, "A2", provider_message_id="p")
    bring(2, 2, "A2", provider_message_id="p")

    assert texts() == ["A1 A2"]


def test_a_repeat_by_id_is_one_for_ever_and_without_an_id_for_five_minutes(bring, finish) -> None:
    for message_id, reference in (("p", "7"), ("", "8")):
        bring(1, 2, "A1", provider_message_id=message_id, reference=reference)
    finish()

    assert bring(1, 2, "A1", provider_message_id="p", after=86_400) is not None
    assert bring(1, 2, "A1", reference="8", after=86_400) is None
    assert InboundPart.objects.filter(message=None).count() == 1


# --- Parts are missing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrived", "text"),
    [((1,), "1 …"), ((4,), "… 4"), ((1, 2), "12 …"), ((1, 4), "1 … 4"), ((2, 3), "… 23 …"), ((1, 3, 4), "1 … 34")],
)
def test_after_five_minutes_the_text_is_stored_with_a_mark_at_each_gap(bring, finish, arrived, text: str) -> None:
    for number in reversed(arrived):
        bring(number, 4, str(number), after=number)
    first = arrived[-1]

    assert finish(WAIT + first - 0.001) == 0
    assert finish(WAIT + first) == 1

    message = Message.objects.get()
    assert (message.text, message.error_code) == (text, "parts_missing")
    assert message.error_detail == f"{4 - len(arrived)} of 4 parts of this text did not arrive in time."
    assert message.events.get().detail == f"{len(arrived)} of 4 parts arrived"
    assert finish(WAIT + 60) == 0


def test_a_part_that_arrives_later_is_shown_as_well(bring, finish) -> None:
    bring(1, 2, "A1", provider_message_id="p")
    finish()

    bring(2, 2, "A2", provider_message_id="p", after=WAIT + 1)
    finish(2 * WAIT + 1)

    assert texts() == ["A1 …", "… A2"]
    assert list(Message.objects.order_by("pk").values_list("provider_message_id", flat=True)) == ["p", ""]


def test_a_late_part_completes_a_text_that_no_worker_has_stored_yet(bring) -> None:
    bring(1, 2, "A1 ")
    bring(2, 2, "A2", after=WAIT + 60)

    assert texts() == ["A1 A2"]


def test_the_tick_finds_late_parts_and_the_worker_stores_and_processes_their_text(bring, now, broker, settings) -> None:
    bring(1, 2, "A1", after=-10_000_000)  # due at the real time, too

    assert late_parts.due(now - timedelta(days=200)).exists() is False
    assert late_parts.due(now).exists() is True
    tasks.process_inbound()

    message = Message.objects.get()
    assert (message.text, message.status) == ("A1 …", "processed")
    assert late_parts.due(now).exists() is False


def test_one_text_that_cannot_be_stored_does_not_hold_up_the_others(bring, finish, caplog) -> None:
    bring(1, 2, "A1")
    bring(1, 2, "B1", reference="8", after=1)
    lose_the_key(InboundPart.objects.get(reference="7"))

    assert finish(WAIT + 1) == 1

    assert texts() == ["B1 …"]
    assert [record.getMessage().endswith("CannotBeOpened") for record in caplog.records] == [True]
    assert finish(WAIT + 1) == 0
    InboundPart.objects.filter(reference="7").update(text="A1")
    assert finish(WAIT + 1 + RETRY_DELAY.total_seconds()) == 1


def test_a_part_after_an_unreadable_one_is_accepted(bring) -> None:
    bring(1, 2, "A1 ")
    lose_the_key(InboundPart.objects.get())

    assert bring(2, 2, "A2") is None
    assert InboundPart.objects.count() == 2


# --- Keywords ---------------------------------------------------------------------------------------------------------


def test_a_keyword_is_recognised_in_the_whole_text_only(bring) -> None:
    bring(2, 2, "OP")
    bring(1, 2, "ST")
    assert suppressed() == {(PERSON, OURS)}

    bring(1, 2, "I will ", reference="8", sender="+14155550102")
    bring(2, 2, "stop", reference="8", sender="+14155550102")

    assert suppressed() == {(PERSON, OURS)}


def test_a_stop_that_is_all_of_the_first_part_does_not_wait(bring, finish) -> None:
    bring(1, 2, "STOP")

    assert suppressed() == {(PERSON, OURS)}
    assert Suppression.objects.get().reason == "wrote stop (the first part of a longer text)"
    Suppression.objects.all().delete()  # for instance by the person's START
    finish()
    assert (texts(), suppressed()) == (["STOP …"], set())


@pytest.mark.parametrize("words", ["HELP", "START", "Stop it"])
def test_other_first_parts_change_nothing(bring, finish, words: str) -> None:
    bring(1, 2, words)
    finish()

    assert suppressed() == set()
    assert Message.objects.get().pending_reply == ""


def test_a_later_part_that_looks_like_a_stop_changes_nothing(bring, finish) -> None:
    bring(2, 2, "stop")
    finish()

    assert suppressed() == set()


def test_a_stop_that_the_provider_recognised_does_not_wait(bring) -> None:
    bring(2, 2, "?", keyword=ProviderKeyword.STOP)

    assert suppressed() == {(PERSON, OURS)}
    bring(1, 2, "!")
    message = Message.objects.get()
    assert (message.provider_keyword, message.is_automatic) == ("stop", True)


# --- Concurrency ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_concurrent_parts_and_repeats_are_one_text(bring) -> None:
    PhoneNumber.objects.create(number=PERSON)

    results = at_once([lambda number=number: bring(number, 4, str(number)) for number in (1, 2, 3, 4)] * 2)

    assert texts() == ["1234"]
    assert sum(result is not None and not result.is_repeat for result in results) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_and_the_last_part_at_once_store_a_late_text_once(bring, finish) -> None:
    bring(1, 2, "A1")

    results = at_once([finish, finish, lambda: bring(2, 2, "A2", after=WAIT)])

    finish(2 * WAIT)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert texts() in (["A1A2"], ["A1 …", "… A2"])


def test_a_callback_of_all_parts_is_stored_whole_or_not_at_all(account, now, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("messaging.services.inbound.storing._attach", fail)
    with pytest.raises(RuntimeError):
        ingest_all([part(1, 2, "A1 "), part(2, 2, "A2")], account=account, limits=LIMITS, now=now)

    assert not InboundPart.objects.exists()
    monkeypatch.undo()
    ingest_all([part(1, 2, "A1 "), part(2, 2, "A2")], account=account, limits=LIMITS, now=now)
    assert texts() == ["A1 A2"]


# --- Rows -------------------------------------------------------------------------------------------------------------


def test_a_part_stands_once_and_within_its_count(db) -> None:
    kept = InboundPartFactory()

    for values in ({"group": kept.group}, {"number": 3}, {"number": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            InboundPartFactory(**values)


def test_erasing_a_person_deletes_the_parts_that_wait_and_those_that_are_stored(bring, now) -> None:
    bring(1, 2, "A1 ")
    bring(2, 2, "A2")
    bring(1, 2, "B1", reference="8")
    bring(1, 2, "of somebody else", sender="+14155550102")

    erasure.erase(number=PERSON, reason="asked", actor=UserFactory(), now=now)

    assert InboundPart.objects.get().from_number == "+14155550102"


def test_a_sender_that_is_no_number_can_be_erased(bring, now) -> None:
    bring(1, 1, "Hello", sender="(415) 555*")

    erasure.erase(number="(415) 555*", reason="asked", actor=UserFactory(), now=now)

    assert Message.objects.get().text == ""


def test_parts_are_deleted_with_their_message(bring) -> None:
    bring(1, 2, "A1 ")
    bring(2, 2, "A2")

    Message.objects.all().delete()

    assert not InboundPart.objects.exists()


def test_parts_that_could_never_be_stored_are_deleted_by_age(db, now) -> None:
    InboundPartFactory(received_at=now - timedelta(days=31))
    young = InboundPartFactory(received_at=now - timedelta(days=29))

    recovery.purge(now=now)

    assert InboundPart.objects.get() == young
