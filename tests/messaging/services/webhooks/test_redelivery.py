"""Redelivery of a time range: which events an endpoint with a number, or of another dialect, gets."""

from datetime import timedelta
from itertools import count

import pytest

from messaging.models import ClientEvent, Message, WebhookEndpoint
from messaging.services.webhooks.redelivery import redeliver_range
from messaging.states import Status
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    UserFactory,
    WebhookDeliveryFactory,
)

pytestmark = pytest.mark.django_db
SEQUENCE = count(1_000_000)
OURS, OTHER, PERSON = "+15005550006", "+15005550007", "+14155550101"


def told(message: Message, event_type: str) -> ClientEvent:
    return ClientEventFactory(message=message, type=event_type, sequence=next(SEQUENCE))


def redelivered(endpoint: WebhookEndpoint) -> list[ClientEvent]:
    hour = timedelta(hours=1)
    done = redeliver_range(endpoint_id=endpoint.pk, since=NOW - hour, until=NOW + hour, now=NOW)
    deliveries = endpoint.deliveries.select_related("event").order_by("event__sequence")
    assert done.count == len(deliveries)
    return [delivery.event for delivery in deliveries]


def test_only_the_messages_of_its_number_and_what_it_has_had_before() -> None:
    owner = UserFactory()
    endpoint = EndpointFactory(owner=owner, number=OURS)
    inbound = {"inbound": True, "status": Status.PROCESSED, "owner": owner}
    events = [
        told(MessageFactory(delivered=True, owner=owner, from_number=OURS), "message.delivered"),
        told(MessageFactory(delivered=True, owner=owner, from_number=OTHER), "message.delivered"),
        told(MessageFactory(**inbound, from_number=PERSON, to_number=OURS), "message.received"),
        told(MessageFactory(**inbound, from_number=PERSON, to_number=OTHER), "message.received"),
        told(MessageFactory(**inbound, from_number=OURS, to_number=OTHER), "message.received"),
        told(MessageFactory(delivered=True, owner=owner, from_number=OTHER), "message.delivered"),
    ]
    WebhookDeliveryFactory(endpoint=endpoint, event=events[-1], state="succeeded")

    assert redelivered(endpoint) == [events[0], events[2], events[5]]


def test_events_that_the_dialect_does_not_tell_are_left_out() -> None:
    owner = UserFactory()
    endpoint = EndpointFactory(owner=owner, dialect="twilio")
    event = told(MessageFactory(delivered=True, owner=owner), "message.delivered")
    ended = ClientEventFactory(
        message=None,
        owner=owner,
        message_id=None,
        has_callback_url=False,
        type="schedule.completed",
        snapshot={"data": {}},
        sequence=next(SEQUENCE),
    )
    WebhookDeliveryFactory(endpoint=endpoint, event=ended, state="failed")

    hour = timedelta(hours=1)
    redeliver_range(endpoint_id=endpoint.pk, since=NOW - hour, until=NOW + hour, now=NOW)

    states = dict(endpoint.deliveries.values_list("event_id", "state"))
    assert states == {event.pk: "pending", ended.pk: "failed"}
