"""A text that cannot be decrypted, or was erased, is not sent and holds back no other message."""

import logging
from datetime import timedelta

import pytest

from messaging.models import DeliveryAttempt, Message, MessageEvent
from messaging.services.outbound import recovery
from messaging.services.outbound.dispatch.attempts import start_attempts
from messaging.services.outbound.dispatch.claim import claim
from providers.errors import Unavailable
from tests.factories import NOW, AccountFactory, MessageFactory, lose_the_key
from tests.messaging.services.outbound.dispatch.fakes import LEASE, Carrier, Clock, dispatcher

pytestmark = pytest.mark.usefixtures("express", "account")
MINUTE = timedelta(minutes=1)


def lost(**values) -> Message:
    message = MessageFactory(**values)
    lose_the_key(message)
    return message


def state(message: Message) -> tuple[str, str, object]:
    row = Message.objects.defer("text").get(pk=message.pk)
    return row.status, row.error_code, row.next_attempt_at


def test_an_unreadable_message_is_deferred_and_the_next_one_is_sent(caplog) -> None:
    message, other = lost(), MessageFactory(text="Hello")
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert carrier.texts == ["Hello"]
    assert state(message) == ("queued", "text_unreadable", NOW + MINUTE)
    assert state(other)[0] == "sent"
    assert not DeliveryAttempt.objects.filter(message=message).exists()
    assert not MessageEvent.objects.filter(message=message).exists()
    assert "lost" in Message.objects.defer("text").get(pk=message.pk).error_detail
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"message {message.pk} waits: The text cannot be opened: FIELD_ENCRYPTION_KEYS has no key 'lost'."
    ]


def test_it_is_checked_each_minute_logged_once_and_expires_with_its_validity(caplog) -> None:
    message = lost(valid_for=90)
    clock = Clock()
    loop = dispatcher(Carrier(), clock=clock)

    loop.run("express")
    clock.advance(60)
    recovery.release_due(now=clock.now)
    loop.run("express")

    assert state(message) == ("queued", "text_unreadable", NOW + timedelta(seconds=90))
    assert sum("cannot be opened" in record.getMessage() for record in caplog.records) == 1
    clock.advance(30)
    recovery.release_due(now=clock.now)
    assert recovery.expire(now=clock.now) == 1
    assert state(message) == ("failed", "expired", None)


def test_it_is_sent_when_its_key_is_back() -> None:
    message = lost()
    clock, carrier = Clock(), Carrier()
    loop = dispatcher(carrier, clock=clock)
    loop.run("express")
    Message.objects.filter(pk=message.pk).update(text="Hello")

    clock.advance(60)
    recovery.release_due(now=clock.now)
    loop.run("express")

    assert carrier.texts == ["Hello"]
    assert state(message) == ("sent", "", None)


def test_a_scheduled_one_becomes_due_like_any_other() -> None:
    message = lost(status="scheduled", send_at=NOW, next_attempt_at=NOW)
    other = MessageFactory(status="scheduled", send_at=NOW, next_attempt_at=NOW)

    assert recovery.release_due(now=NOW) == 2

    assert [state(row)[0] for row in (message, other)] == ["queued", "queued"]


def test_a_claim_whose_worker_died_is_returned_like_any_other() -> None:
    message = lost(sending=True, lease_until=NOW)

    assert recovery.return_expired_claims(now=NOW) == 1

    assert state(message) == ("queued", "", None)


@pytest.mark.parametrize(
    ("lose", "after"),
    [
        (lose_the_key, ("queued", "text_unreadable", NOW + MINUTE)),
        (lambda row: Message.objects.filter(pk=row.pk).update(text="", erased_at=NOW), ("failed", "erased", None)),
    ],
    ids=["unreadable", "erased"],
)
class TestAfterTheClaim:
    def test_no_attempt_is_started(self, lose, after) -> None:
        message = MessageFactory()
        claimed = claim(queue_name="express", limit=1, now=NOW, lease=LEASE)
        lose(message)

        assert start_attempts(claimed, now=NOW, lease=LEASE) == []

        assert state(message) == after
        assert not DeliveryAttempt.objects.exists()

    def test_the_next_account_is_not_tried(self, lose, after) -> None:
        AccountFactory(slug="second")
        message = MessageFactory()
        carrier = Carrier(default=Unavailable("down"))
        carrier.before_response = lambda _call: lose(message)

        dispatcher(carrier).run("express")

        assert len(carrier.calls) == 1
        assert state(message) == after


def test_a_queued_message_that_was_erased_fails_without_a_call() -> None:
    message = MessageFactory(text="", erased_at=NOW)
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert carrier.calls == []
    assert state(message) == ("failed", "erased", None)
