"""Accepting inbound texts: each once, and within the limits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from media_store import services as media
from messaging.models import Attachment, Message, PhoneNumber
from messaging.services import transitions
from messaging.services.errors import InvalidField, SenderRateLimited
from messaging.services.inbound import receive as inbound
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.inbound.receive import InboundLimits, receive, receive_from_provider
from tests.factories import NOW, AccountFactory, MessageFactory, SenderFactory, UserFactory, lose_the_key
from tests.media_store import pictures
from tests.messaging.parallel import at_once

PERSON, OURS = "+14155550101", "+15005550006"
LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))


def text(words: str = "Hello", **changes) -> IncomingMessage:
    return IncomingMessage(**{"sender": PERSON, "recipient": OURS, "text": words, **changes})


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.fixture
def owner(db):
    return UserFactory()


@pytest.fixture
def post(owner, now):
    """Posts a text, `after` seconds after `now`."""

    def post(words: str = "Hello", *, after: float = 0, by=owner, **changes) -> inbound.Received:
        return receive(incoming=text(words, **changes), owner=by, limits=LIMITS, now=now + seconds(after))

    return post


@pytest.fixture
def bring(account, now):
    """Delivers a provider's callback, `after` seconds after `now`."""

    def bring(words: str = "Hello", *, after: float = 0, account=account, **changes) -> inbound.Received:
        incoming = text(words, **changes)
        return receive_from_provider(incoming=incoming, account=account, limits=LIMITS, now=now + seconds(after))

    return bring


# --- By a client ------------------------------------------------------------------------------------------------------


def test_a_text_is_received(post, owner, now) -> None:
    received = post("Grüße")

    assert received.is_repeat is False
    message = Message.objects.get()
    assert message == received.message
    assert (message.direction, message.status, message.owner) == ("inbound", "received", owner)
    assert (message.from_number, message.to_number, message.text) == (PERSON, OURS, "Grüße")
    assert (message.encoding, message.segments, message.media_count) == ("gsm7", 1, 0)
    assert (message.received_at, message.created_at, message.updated_at) == (now, now, now)
    assert (message.provider, message.provider_message_id, message.error_code) == (None, "", "")
    [event] = transitions.history(message)
    assert (event.at, event.to_status, event.source, event.actor) == (now, "received", "api", owner)


def test_a_text_after_an_unreadable_one_is_accepted(post) -> None:
    lose_the_key(post().message)

    assert post(after=1).is_repeat is False


@pytest.mark.parametrize("after", [0, 0.5, 2])
def test_the_same_text_within_the_window_is_a_repeat(post, after: float) -> None:
    first = post().message

    again = post(after=after)

    assert (again.message, again.is_repeat) == (first, True)
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [{"after": 2.001}, {"words": "hello"}, {"recipient": "+15005550007"}, {"sender": "+14155550102"}],
    ids=["later", "another text", "to another number", "from another number"],
)
def test_a_different_text_is_no_repeat(post, other: dict) -> None:
    post()

    assert post(**other).is_repeat is False
    assert Message.objects.count() == 2


def test_another_clients_text_is_no_repeat(post) -> None:
    mine = post().message

    other = post(by=UserFactory())

    assert other.is_repeat is False
    assert other.message != mine


def test_the_sixth_text_in_a_minute_is_refused(post) -> None:
    for number in range(5):
        post(f"{number}", after=number * 10)

    with pytest.raises(SenderRateLimited) as caught:
        post("6", after=41.5)

    assert caught.value.retry_after == 19
    assert Message.objects.count() == 5


def test_the_window_slides(post) -> None:
    for number in range(5):
        post(f"{number}", after=number * 10)

    with pytest.raises(SenderRateLimited) as caught:
        post("early", after=59.999)
    assert caught.value.retry_after == 1
    post("in time", after=60)
    with pytest.raises(SenderRateLimited) as caught:
        post("too many", after=60)

    assert caught.value.retry_after == 10
    assert Message.objects.count() == 6


def test_a_text_after_retry_after_is_accepted(post) -> None:
    for number in range(5):
        post(f"{number}", after=number / 7)
    with pytest.raises(SenderRateLimited) as caught:
        post("again", after=3)

    assert post("again", after=3 + caught.value.retry_after).is_repeat is False


def test_a_repeat_does_not_count_towards_the_limit(post) -> None:
    for _ in range(10):
        post()
    for number in range(4):
        post(f"{number}")

    again = post()

    assert again.is_repeat is True
    assert Message.objects.count() == 5


def test_each_sender_has_a_limit_of_its_own(post) -> None:
    for number in range(5):
        post(f"{number}")

    assert post("x", sender="+14155550102").is_repeat is False


def test_media_are_part_of_the_text(post, owner, now, media_folder) -> None:
    one, two = (
        media.store(owner=owner, stream=[pictures.encoded("PNG", pictures.picture(shade=shade))], now=now).asset.pk
        for shade in (1, 2)
    )

    first = post(assets=(one,)).message

    assert list(first.attachments.values_list("asset_id", "position")) == [(one, 0)]
    assert first.media_count == 1
    assert post(assets=(one,)).is_repeat is True
    assert post(assets=(two,)).is_repeat is False
    assert post(assets=(two, one)).is_repeat is False
    assert post().is_repeat is False


def test_another_users_asset_is_unknown(post, now, media_folder) -> None:
    theirs = media.store(owner=UserFactory(), stream=[pictures.encoded("PNG")], now=now).asset

    with pytest.raises(InvalidField) as caught:
        post(assets=(theirs.pk,))

    assert (caught.value.field, caught.value.field_code) == ("media", "unknown_asset")
    assert not Message.objects.exists()


def test_the_cost_does_not_grow_with_what_came_before(post, now) -> None:
    post("warm", sender="+14155550109")
    with CaptureQueriesContext(
        connection,
    ) as few:
        post("a", after=100)
    MessageFactory.create_batch(
        20, inbound=True, from_number=PERSON, to_number=OURS, received_at=now - seconds(3600), text="b"
    )

    with CaptureQueriesContext(connection) as many:
        post("b", after=101)

    assert len(many) <= len(few)


# --- Concurrency ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_concurrent_equal_texts_are_one_row(post) -> None:
    results = at_once([post] * 12)

    assert Message.objects.count() == 1
    assert sorted(result.is_repeat for result in results) == [False] + [True] * 11


@pytest.mark.django_db(transaction=True)
def test_concurrent_texts_are_accepted_exactly_up_to_the_limit(post) -> None:
    results = at_once([lambda number=number: post(f"{number}") for number in range(12)])

    assert Message.objects.count() == 5
    refused = [result for result in results if isinstance(result, SenderRateLimited)]
    assert [error.retry_after for error in refused] == [60] * 7


@pytest.mark.django_db(transaction=True)
def test_a_concurrent_identical_callback_is_one_row(bring) -> None:
    results = at_once([lambda: bring(provider_message_id="p1")] * 8)

    assert Message.objects.count() == 1
    assert sorted(result.is_repeat for result in results) == [False] + [True] * 7


@pytest.mark.django_db(transaction=True)
def test_one_concurrent_id_under_several_senders_is_one_row(bring) -> None:
    calls = [lambda last=last: bring(provider_message_id="p1", sender=f"+1415555010{last}") for last in range(8)]

    results = at_once(calls)

    assert Message.objects.count() == 1
    assert sorted(result.is_repeat for result in results) == [False] + [True] * 7


# --- By a provider ----------------------------------------------------------------------------------------------------


def test_the_wait_is_no_longer_than_the_window_if_another_text_was_stored_meanwhile(post) -> None:
    for number in range(5):
        post(f"{number}", after=0.5)

    with pytest.raises(SenderRateLimited) as caught:
        post("one more")

    assert caught.value.retry_after == 60


def test_a_provider_is_never_refused_for_the_rate(bring, account) -> None:
    messages = [bring(f"{number}", provider_message_id=f"p{number}").message for number in range(7)]

    assert [message.error_code for message in messages] == [""] * 5 + ["sender_rate_limited"] * 2
    assert {message.provider for message in messages} == {account}
    assert Message.objects.filter(status="received").count() == 7


def test_a_joined_long_text_is_stored_and_marked(bring) -> None:
    assert bring("x" * 160).message.error_code == ""
    message = bring("x" * 1600).message

    message.refresh_from_db()
    assert (len(message.text), message.error_code, message.segments) == (1600, "too_long", 11)


def test_the_providers_id_decides_instead_of_the_window(bring) -> None:
    first = bring(provider_message_id="p1").message

    assert bring(provider_message_id="p2").is_repeat is False
    assert bring("other words", provider_message_id="p1", after=86_400).message == first
    assert Message.objects.count() == 2


def test_an_id_counts_for_its_account_only(bring) -> None:
    bring(provider_message_id="p1")

    assert bring(provider_message_id="p1", account=AccountFactory()).is_repeat is False


def test_without_an_id_the_window_decides(bring) -> None:
    bring()

    assert bring(after=1).is_repeat is True
    assert bring(after=3).is_repeat is False


def test_media_of_a_callback_wait_to_be_fetched(bring, now) -> None:
    message = bring("", addresses=("https://a.example/1", "https://a.example/2")).message

    files = message.attachments.values_list("position", "asset", "source_url", "next_attempt_at")
    assert list(files) == [(0, None, "https://a.example/1", now), (1, None, "https://a.example/2", now)]
    assert bring("", addresses=("https://a.example/1", "https://a.example/2")).is_repeat is True
    assert bring("", addresses=("https://a.example/1",)).is_repeat is False
    assert Attachment.objects.count() == 3


def test_the_owner_of_our_number_gets_it(bring, owner) -> None:
    SenderFactory(number=OURS, owner=owner)
    MessageFactory(to_number=PERSON, from_number=OURS)

    assert bring().message.owner == owner


def test_the_owner_of_our_short_code_gets_its_replies(bring, owner) -> None:
    SenderFactory(number="80888", owner=owner)
    SenderFactory(number="ACME", owner=UserFactory())
    MessageFactory(to_number=PERSON, from_number="ACME")

    assert bring(recipient="80888").message.owner == owner


def test_a_shared_number_belongs_to_the_last_sender_to_that_person(bring, now) -> None:
    MessageFactory(to_number=PERSON, from_number=OURS)
    last = MessageFactory(to_number=PERSON, from_number=OURS)
    MessageFactory(to_number=PERSON, from_number=OURS, is_automatic=True)
    MessageFactory(to_number=PERSON, from_number="+15005550007")
    MessageFactory(to_number="+14155550102", from_number=OURS)

    assert bring().message.owner == last.owner


def test_a_text_that_replies_to_no_message_has_no_owner(bring, now) -> None:
    MessageFactory(to_number=PERSON, from_number=OURS, created_at=now - timedelta(days=31))

    message = bring().message

    assert message.owner is None
    assert [event.source for event in transitions.history(message)] == ["provider"]


def test_the_senders_number_is_stored(bring) -> None:
    bring(sender="INFO")

    assert list(PhoneNumber.objects.values_list("number", "status")) == [("INFO", "active")]


def test_limits_are_an_argument(owner, now) -> None:
    tight = replace(LIMITS, messages=1)
    receive(incoming=text("1"), owner=owner, limits=tight, now=NOW)

    with pytest.raises(SenderRateLimited):
        receive(incoming=text("2"), owner=owner, limits=tight, now=NOW)
