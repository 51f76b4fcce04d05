"""Client events of status changes, and how they are serialized later."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from messaging.event_types import OF_STATUS, EventType
from messaging.models import ClientEvent, Message
from messaging.services import events, transitions
from messaging.services.errors import IllegalTransition
from messaging.services.representation import serialize_message
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import NOW, MessageFactory

pytestmark = pytest.mark.django_db


def move(message: Message, to: Status) -> None:
    transitions.apply([Transition(message, to, Source.DISPATCH)], now=NOW + timedelta(seconds=5))


def test_every_notified_status_has_its_event() -> None:
    assert {status: str(event_type) for status, event_type in OF_STATUS.items()} == {
        "sent": "message.sent",
        "delivered": "message.delivered",
        "undelivered": "message.undelivered",
        "failed": "message.failed",
        "unknown": "message.unknown",
        "canceled": "message.canceled",
        "processed": "message.received",
    }


def test_a_status_change_records_one_event(account) -> None:
    message = MessageFactory(sending=True)

    move(message, Status.SENT)

    event = ClientEvent.objects.get()
    assert (event.type, event.owner_id, event.message_id) == ("message.sent", message.owner_id, message.pk)
    assert (event.at, event.sequence, event.has_callback_url) == (NOW + timedelta(seconds=5), None, False)


@pytest.mark.parametrize("to", [Status.SENDING, Status.CANCELED])
def test_a_status_without_an_event_records_none(to: Status) -> None:
    message = MessageFactory()
    message.claim_id, message.lease_until = (message.pk, NOW) if to is Status.SENDING else (None, None)

    move(message, to)

    assert ClientEvent.objects.count() == (0 if to is Status.SENDING else 1)


def test_a_message_without_an_owner_records_no_event() -> None:
    message = MessageFactory(inbound=True)

    move(message, Status.STORED)
    move(message, Status.PROCESSED)

    assert not ClientEvent.objects.exists()


def test_an_inbound_message_records_its_event_when_processed() -> None:
    message = MessageFactory(inbound=True, owner=get_user_model().objects.create(username="owner"))

    move(message, Status.STORED)
    assert not ClientEvent.objects.exists()

    move(message, Status.PROCESSED)
    assert ClientEvent.objects.get().type == "message.received"


def test_a_batch_costs_as_much_as_one_message(django_assert_num_queries) -> None:
    for size in (1, 5):
        messages = [MessageFactory(sending=True) for _ in range(size)]
        # With history and counts, and one that looks for what the messages took from budgets.
        with django_assert_num_queries(2 if connection.vendor == "postgresql" else 5):
            transitions.apply([Transition(row, Status.FAILED, Source.DISPATCH) for row in messages], now=NOW)


def test_a_refused_change_records_no_event() -> None:
    with pytest.raises(IllegalTransition):
        move(MessageFactory(), Status.SENT)

    assert not ClientEvent.objects.exists()


def test_the_event_shows_the_message_as_it_was(account) -> None:
    message = MessageFactory(sending=True, provider=account, reference="order-42", from_number="")
    message.provider_message_id, message.sent_at, message.from_number = "pm-1", NOW, "+15005550006"
    transitions.apply(
        [Transition(message, Status.SENT, Source.DISPATCH)],
        now=NOW,
        fields=["provider_message_id", "sent_at", "from_number"],
    )
    as_sent = serialize_message(message)
    message.error_code, message.error_detail = "undelivered", "acme reported undelivered"
    transitions.apply(
        [Transition(message, Status.UNDELIVERED, Source.RECEIPT)],
        now=NOW + timedelta(minutes=1),
        fields=["error_code", "error_detail"],
    )
    as_undelivered = serialize_message(message)

    now_stored = Message.objects.get()
    sent, undelivered = ClientEvent.objects.order_by("pk")

    assert events.body(sent, now_stored) == {
        "type": "message.sent",
        "timestamp": "2026-11-22T09:00:00Z",
        "sequence": None,
        "data": as_sent,
    }
    assert events.body(undelivered, now_stored)["data"] == as_undelivered
    assert as_sent["error"] is None
    assert now_stored.status == Status.UNDELIVERED


def test_the_event_of_an_erased_message_has_no_body() -> None:
    message = MessageFactory(sending=True)
    move(message, Status.FAILED)

    assert events.body(ClientEvent.objects.get(), None) is None


def test_an_event_without_a_message_has_its_own_data() -> None:
    owner = get_user_model().objects.create(username="owner")

    events.record_data(
        owner_id=owner.pk, event_type=EventType.SCHEDULE_COMPLETED, data={"id": "1", "name": "Reminder"}, at=NOW
    )

    assert events.body(ClientEvent.objects.get(), None) == {
        "type": "schedule.completed",
        "timestamp": "2026-11-22T09:00:00Z",
        "sequence": None,
        "data": {"id": "1", "name": "Reminder"},
    }
