"""Texts of a provider are made storable: nothing is guessed, and no fault of a part of it refuses the text."""

import json
from datetime import timedelta

import pytest
from django.db import transaction

from messaging.models import Message, PhoneNumber, ProviderCallback, Suppression
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.services.inbound import process
from messaging.services.inbound.incoming import is_unreadable, read
from messaging.services.inbound.receive import InboundLimits, ingest, ingest_all
from providers.contract.messages import InboundMessage
from providers.errors import MalformedCallback
from providers.models import ProviderEvent
from tests.factories import MessageFactory, SenderFactory
from tests.messaging.parallel import at_once

PERSON, OURS = "+14155550101", "+15005550006"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
URL = "https://a.example/1.png"


def text(words: str = "Hello", **changes) -> InboundMessage:
    return InboundMessage(
        **{"provider_message_id": "in-1", "sender": PERSON, "recipient": OURS, "text": words, **changes}
    )


@pytest.fixture
def bring(account, now):
    def bring(words: str = "Hello", **changes) -> Message:
        received = ingest(text(words, **changes), account=account, limits=LIMITS, now=now)
        assert received is not None
        return Message.objects.get(pk=received.message.pk)

    return bring


def suppressed() -> set[tuple[str, str]]:
    return set(Suppression.objects.values_list("number", "sender"))


def replies() -> list[str]:
    return list(Message.objects.filter(direction="outbound").values_list("to_number", flat=True))


def test_a_text_is_stored_as_it_came(bring, account) -> None:
    message = bring(media_urls=(URL, URL))

    assert (message.from_number, message.to_number, message.text) == (PERSON, OURS, "Hello")
    assert (message.provider, message.provider_message_id, message.status) == (account, "in-1", "received")
    assert (message.error_code, message.error_detail) == ("", "")
    assert list(message.attachments.values_list("source_url", flat=True)) == [URL]


# --- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("+14155550101", "+14155550101"),
        ("0044 7911 123456", "+447911123456"),
        ("80888", "80888"),
        ("ACME", "ACME"),
        (" ACME\x00 ", "ACME\ufffd"),
    ],
)
def test_numbers_short_codes_and_names_are_not_marked(bring, given: str, stored: str) -> None:
    message = bring(sender=given)

    assert (message.from_number, message.error_code) == (stored, "")


@pytest.mark.parametrize(
    "given",
    ["9195550101", "6465593995", "07911123456", "14155550101", "+15550101", "12", "1234567", "(415) 555-0101"]
    + ["s@example.com", "٤٤٧٩١١١٢٣٤٥٦", "?", "x" * 16],
)
def test_an_unreadable_sender_is_stored_as_it_came_and_marked(bring, given: str) -> None:
    message = bring(sender=given)

    assert (message.from_number, message.error_code) == (given, "unreadable_number")
    assert message.error_detail == "The sender's number cannot be read; this text got no automatic reply."
    assert is_unreadable(given)


@pytest.mark.parametrize("given", ["somebody@example.com", f"whatsapp:{PERSON}", f"12345{PERSON}"])
def test_a_sender_that_is_longer_than_its_column_is_abridged_kept_as_it_came_and_blocked(bring, given: str) -> None:
    message = bring("STOP", sender=given)
    other = bring("STOP", sender=f"{given}0", provider_message_id="in-2")

    assert (len(message.from_number), message.error_code) == (16, "unreadable_number")
    assert message.from_number.startswith(f"{given[:10]}…")
    assert message.from_number != other.from_number
    assert json.loads(message.callbacks.get().body) == {"from": given}
    assert suppressed() == {(message.from_number, OURS), (other.from_number, OURS)}


def test_a_recipient_that_is_longer_than_its_column_is_kept_as_it_came(bring) -> None:
    message = bring(recipient=f"tel:{OURS}9999")

    assert (message.to_number[:11], message.error_code) == ("tel:+15005…", "unreadable_number")
    assert json.loads(message.callbacks.get().body) == {"to": f"tel:{OURS}9999"}


@pytest.mark.usefixtures("express")
def test_an_unreadable_sender_gets_no_automatic_reply_and_neither_does_anybody_else(bring, now) -> None:
    SenderFactory(number=OURS)
    bring("HELP", sender="9195550101", provider_message_id="in-1")
    bring("HELP", provider_message_id="in-2")

    process.process(default_queue="express", now=now)

    assert replies() == [PERSON]


def test_a_stop_of_an_unreadable_sender_blocks_that_very_string_and_alerts_staff(bring, account, caplog) -> None:
    bring("STOP", sender="9195550101")
    bring("STOP", sender="9195550101", provider_message_id="in-2")

    assert suppressed() == {("9195550101", OURS)}
    event = ProviderEvent.objects.get()
    assert (event.account, event.kind) == (account, "needs_operator")
    assert event.detail.startswith("An opt-out came from a number that cannot be read.")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "9195550101" not in record.getMessage() + event.detail


def test_a_stop_of_a_readable_sender_alerts_nobody(bring, caplog) -> None:
    bring("STOP")

    assert suppressed() == {(PERSON, OURS)}
    assert not ProviderEvent.objects.exists()
    assert caplog.records == []


def test_an_unreadable_recipient_is_marked(bring) -> None:
    message = bring(recipient="5005550006")

    assert (message.to_number, message.error_code) == ("5005550006", "unreadable_number")
    assert message.error_detail.startswith("The number that received this text cannot be read;")


@pytest.mark.parametrize("sender", ["", "  "])
def test_a_text_without_a_sender_is_malformed_and_nothing_of_its_callback_is_stored(account, now, sender) -> None:
    with pytest.raises(MalformedCallback):
        ingest_all([text(), text(sender=sender)], account=account, limits=LIMITS, now=now)

    assert not Message.objects.exists()


# --- Texts ------------------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_for_a_message_is_cut_marked_and_kept_whole(bring, account, now) -> None:
    whole = "x" * MAX_INBOUND_CHARACTERS + "the end"

    message = bring(whole)

    assert (message.text, message.error_code) == ("x" * MAX_INBOUND_CHARACTERS, "too_long")
    assert message.error_detail.startswith("Only the first 1,600 characters are shown here;")
    kept = ProviderCallback.objects.get()
    assert (kept.message, kept.provider, kept.kind, kept.state) == (message, account, "inbound", "applied")
    assert json.loads(kept.body) == {"text": whole}


def test_a_keyword_is_recognised_in_the_whole_text(bring) -> None:
    padding = " " * MAX_INBOUND_CHARACTERS

    bring(f"STOP{padding}that noise", provider_message_id="in-1")
    assert suppressed() == set()
    bring(f"{padding}STOP", provider_message_id="in-2")

    assert suppressed() == {(PERSON, OURS)}


def test_two_texts_with_the_same_beginning_are_no_repeats(bring) -> None:
    same = "x" * MAX_INBOUND_CHARACTERS

    assert bring(f"{same}1", provider_message_id="") != bring(f"{same}2", provider_message_id="")


def test_characters_that_no_database_holds_are_replaced(bring) -> None:
    assert bring("STOP\x00\ud800").text == "STOP\ufffd?"
    assert suppressed() == {(PERSON, OURS)}


def test_an_id_that_is_too_long_still_tells_a_repeat(bring) -> None:
    first = bring(provider_message_id="i" * 500)

    assert bring(provider_message_id="i" * 500) == first
    assert bring(provider_message_id="i" * 500 + "2") != first


# --- Media ------------------------------------------------------------------------------------------------------------


def files_of(message: Message) -> list[tuple[str, str]]:
    return list(message.attachments.values_list("source_url", "error_code"))


@pytest.mark.parametrize(
    "bad",
    [
        *("ftp://a.example/1", "https://", "https://[", "https://a.example:x/1", "", "a", "javascript:alert(1)"),
        *(
            "https://a.example/\x00",
            "https://a.example/\ud800",
            "https://a.example/\n",
            "https://a.example/" + "x" * 2000,
        ),
    ],
)
def test_a_fault_of_one_picture_does_not_refuse_the_text(bring, bad: str) -> None:
    message = bring("STOP", media_urls=(bad, URL))

    assert (message.text, message.error_code, message.media_count) == ("STOP", "media_left_out", 2)
    assert message.error_detail.startswith("1 of the media could not be kept")
    assert files_of(message) == [(URL, ""), ("", "not_kept")]
    assert suppressed() == {(PERSON, OURS)}


@pytest.mark.parametrize(("count", "lost", "told"), [(12, 2, 2), (300, 290, 10)])
def test_of_too_many_pictures_the_first_ones_are_kept(bring, count: int, lost: int, told: int) -> None:
    urls = tuple(f"https://a.example/{number}" for number in range(count))

    message = bring("", media_urls=urls)

    assert files_of(message) == [*((url, "") for url in urls[:10]), *[("", "not_kept")] * told]
    assert message.media_count == 10 + told
    assert message.error_detail.startswith(f"{lost} of the media could not be kept: at most 10 are")


def test_a_repeat_of_a_text_with_a_bad_picture_is_recognised(bring) -> None:
    first = bring("Look", media_urls=("ftp://a.example/1", URL))

    assert bring("Look", media_urls=("ftp://a.example/1", URL)) == first
    assert files_of(first) == [(URL, ""), ("", "not_kept")]


@pytest.mark.usefixtures("express")
def test_a_keyword_with_a_bad_picture_is_answered(bring, now) -> None:
    SenderFactory(number=OURS)
    bring("STOP", media_urls=("ftp://a.example/1",))

    process.process(default_queue="express", now=now)

    assert replies() == [PERSON]


def test_the_most_important_mark_is_the_code_and_all_are_described(bring) -> None:
    message = bring("x" * 161, sender="9195550101", media_urls=("ftp://a.example/1",))

    assert message.error_code == "unreadable_number"
    assert "longer than the limit" in message.error_detail
    assert "could not be kept" in message.error_detail


# --- Many texts of one callback ---------------------------------------------------------------------------------------


def test_a_known_id_under_another_sender_does_not_break_the_callers_transaction(account, now, monkeypatch) -> None:
    """As if the other callback had committed after this one looked for its id."""
    monkeypatch.setattr("messaging.services.inbound.receive._known", _known_on_the_second_look())
    known = MessageFactory(inbound=True, provider=account, provider_message_id="in-1", from_number="+14155550199")

    with transaction.atomic():
        again = ingest(text(), account=account, limits=LIMITS, now=now)
        other = ingest(text(provider_message_id="in-2"), account=account, limits=LIMITS, now=now)

    assert again is not None
    assert (again.message, again.is_repeat) == (known, True)
    assert other is not None
    assert set(Message.objects.all()) == {known, other.message}


def _known_on_the_second_look():
    looks = []

    def known(incoming, account) -> Message | None:
        looks.append(incoming)
        return Message.objects.filter(provider_message_id=incoming.provider_message_id).first() if looks[1:] else None

    return known


@pytest.mark.django_db(transaction=True)
def test_callbacks_with_the_same_senders_in_another_order_do_not_deadlock(account, now) -> None:
    senders = [f"+1415555010{number}" for number in range(6)]
    PhoneNumber.objects.bulk_create(PhoneNumber(number=sender) for sender in senders)

    def bring(order: list[str], name: str):
        texts = [text(sender=sender, provider_message_id=f"{name}-{sender}") for sender in order]
        return lambda: ingest_all(texts, account=account, limits=LIMITS, now=now)

    results = at_once([bring(senders, "a"), bring(senders[::-1], "b")] * 2)

    assert [len(result) for result in results] == [6] * 4
    assert Message.objects.count() == 12


def test_reading_is_stable() -> None:
    once = read(text(sender="00447911123456"))

    assert read(text(sender=once.sender)).sender == once.sender == "+447911123456"
