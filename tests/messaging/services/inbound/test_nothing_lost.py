"""Whatever a provider's callback brings: every text with a sender is stored, whole or marked, and none is stored by halves."""

import json
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import InboundPart, Message, ProviderCallback
from messaging.services.inbound import late_parts
from messaging.services.inbound.receive import InboundLimits, ingest_all
from providers.contract.messages import InboundMessage, MessagePart, ProviderKeyword
from providers.errors import MalformedCallback
from tests.factories import NOW
from tests.generated import examples
from tests.messaging.parallel import at_once

LIMITS = InboundLimits(160, 5, timedelta(seconds=60), timedelta(seconds=2))
CHARACTERS = st.text(st.characters(exclude_characters="…<"), max_size=20)
PARTIES = st.one_of(
    st.sampled_from(["+14155550101", "00447911123456", "9195550101", "80888", "ACME", "x" * 100]), CHARACTERS
)
URLS = st.one_of(st.sampled_from(["https://a.example/1", "ftp://a.example/1", "https://[", "x" * 3000]), CHARACTERS)
PARTS = st.builds(
    MessagePart, st.sampled_from(["", "7", "8", "r" * 100]), number=st.integers(-1, 4), count=st.integers(-1, 3)
)


def texts(number: int) -> st.SearchStrategy[InboundMessage]:
    """A text that begins with its own number, so that it is found wherever it ends."""
    return st.builds(
        lambda words, repeated, **values: InboundMessage(text=f"<{number}>{words * repeated}", **values),
        words=CHARACTERS,
        repeated=st.sampled_from([1, 1, 200]),
        provider_message_id=st.sampled_from(["", f"id-{number}", "i" * 300 + str(number)]),
        sender=PARTIES,
        recipient=st.one_of(st.just(""), PARTIES),
        media_urls=st.lists(URLS, max_size=13).map(tuple),
        keyword=st.sampled_from([None, None, *ProviderKeyword]),
        part=st.one_of(st.none(), PARTS),
    )


CALLBACKS = st.integers(1, 6).flatmap(lambda count: st.tuples(*(texts(number) for number in range(count))))


def storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def everything_stored() -> str:
    """All texts: of messages, of those that were cut, and of parts that wait."""
    kept = (json.loads(callback.body).get("text", "") for callback in ProviderCallback.objects.all())
    messages = (message.text for message in Message.objects.all())
    return "\n".join([*messages, *kept, *(part.text for part in InboundPart.objects.all())])


@pytest.mark.django_db
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(callback=CALLBACKS)
def test_no_text_of_any_callback_is_lost_or_half_stored(account, callback) -> None:
    with transaction.atomic():
        has_senders = all(storable(text.sender).strip() for text in callback)
        if not has_senders:
            with pytest.raises(MalformedCallback):
                bring(account, callback, NOW)
            assert everything_stored() == ""
        else:
            bring(account, callback, NOW)
            assert_stored(callback)
            late_parts.store_due(limits=LIMITS, now=NOW + timedelta(minutes=5))
            assert not InboundPart.objects.filter(message=None).exists()
            assert_stored(callback)
            bring(account, callback, NOW + timedelta(seconds=1))
            assert not InboundPart.objects.filter(message=None).exists()
            assert [
                number for number, text in enumerate(callback) if text.provider_message_id and stored(number) != 1
            ] == []
        transaction.set_rollback(True)


def bring(account, callback, now: datetime) -> None:
    ingest_all(callback, account=account, limits=LIMITS, now=now)


def stored(number: int) -> int:
    """How many messages have the text of this number."""
    return sum(f"<{number}>" in message.text for message in Message.objects.all())


def assert_stored(callback) -> None:
    found = everything_stored()
    assert [text for text in callback if storable(text.text) not in found] == []


@pytest.mark.django_db(transaction=True)
def test_callbacks_at_once_lose_nothing(account, now) -> None:
    callbacks = [
        [
            InboundMessage("", sender, "", f"<{sender}{number}>", part=MessagePart("7", number, 3))
            for number in (1, 2, 3)
            for sender in ("+14155550101", "+14155550102", "ACME")
        ][:: 1 if copy % 2 else -1]
        for copy in range(4)
    ]

    results = at_once([lambda callback=callback: bring(account, callback, now) for callback in callbacks])

    assert results == [None] * 4
    assert Message.objects.count() == 3
    assert not InboundPart.objects.filter(message=None).exists()
