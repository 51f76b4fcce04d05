"""Event numbers that rise even with late commits, and deliveries to subscribed endpoints."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Max
from django.test.utils import CaptureQueriesContext

from messaging.models import ClientEvent, EventLog, WebhookDelivery, WebhookEndpoint
from messaging.services.webhooks import event_log
from tests.factories import (
    NOW,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    UserFactory,
    WebhookDeliveryFactory,
)
from tests.messaging.parallel import at_once

pytestmark = pytest.mark.django_db


def sequences() -> list[int]:
    return list(ClientEvent.objects.order_by("pk").values_list("sequence", flat=True))


def deliveries() -> list[tuple]:
    return list(WebhookDelivery.objects.order_by("event", "endpoint").values_list("event", "endpoint__url"))


def test_events_are_numbered_in_their_order() -> None:
    for _ in range(3):
        ClientEventFactory()

    assert event_log.number(now=NOW) == 3

    numbers = sequences()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 3
    assert EventLog.objects.get().last_sequence == numbers[-1]


def test_numbering_without_new_events_takes_one_query(django_assert_num_queries) -> None:
    ClientEventFactory(sequence=1)

    with django_assert_num_queries(1):
        assert event_log.number(now=NOW) == 0


def test_an_event_committed_late_is_numbered_after_those_already_read() -> None:
    late = ClientEventFactory(sequence=None)
    first = ClientEventFactory()
    ClientEvent.objects.filter(pk=late.pk).update(sequence=0)  # not visible yet
    event_log.number(now=NOW)
    read_up_to = ClientEvent.objects.aggregate(Max("sequence"))["sequence__max"]

    ClientEvent.objects.filter(pk=late.pk).update(sequence=None)
    next_one = ClientEventFactory()
    event_log.number(now=NOW)

    late.refresh_from_db()
    next_one.refresh_from_db()
    first.refresh_from_db()
    assert first.sequence == read_up_to
    assert read_up_to < late.sequence < next_one.sequence


def test_more_than_a_chunk_is_numbered_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CHUNK", 2)
    message = MessageFactory()
    for _ in range(5):
        ClientEventFactory(message=message)

    assert event_log.number(now=NOW) == 5
    assert None not in sequences()


def _write_some(owner) -> None:
    message = MessageFactory(owner=owner)
    for _ in range(5):
        with transaction.atomic():
            ClientEventFactory(message=message)
            ClientEventFactory(message=message)


@pytest.mark.django_db(transaction=True)
def test_a_reader_misses_nothing_during_concurrent_writes_and_numbering() -> None:
    """A reader that continues from the last number it saw gets every event, in any order of commits."""
    owner = UserFactory()
    over = threading.Barrier(3, action=(done := threading.Event()).set)

    def write() -> None:
        _write_some(owner)
        over.wait(30)

    def number() -> None:
        while not done.is_set():
            event_log.number(now=NOW)

    def read() -> list[int]:
        seen: list[int] = []
        last = 0
        while not done.is_set() or ClientEvent.objects.filter(sequence__isnull=True).exists():
            new = ClientEvent.objects.filter(owner=owner, sequence__gt=last).order_by("sequence")
            for pk, last in new.values_list("pk", "sequence"):  # noqa: B007 (the last one is where to continue)
                seen.append(pk)
            event_log.number(now=NOW)
        seen += ClientEvent.objects.filter(owner=owner, sequence__gt=last).values_list("pk", flat=True)
        return seen

    *_rest, seen = at_once([write, write, write, number, number, read])

    assert len(seen) == 30
    assert sorted(seen) == sorted(ClientEvent.objects.values_list("pk", flat=True))


def test_owners_are_notified_after_each_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CHUNK", 2)
    first, second = UserFactory(), UserFactory()
    for owner in (first, first, second):
        ClientEventFactory(message=MessageFactory(owner=owner))
    notified: list[tuple[set[int], int]] = []

    def notify(owners: set[int]) -> None:
        notified.append((owners, ClientEvent.objects.filter(sequence__isnull=True).count()))

    event_log.number(now=NOW, notify=notify)
    event_log.number(now=NOW, notify=notify)

    assert notified == [({first.pk}, 1), ({second.pk}, 0)]


# --- Fan-out --------------------------------------------------------------------------------------------------------


def test_every_endpoint_of_the_owner_subscribed_to_the_type_gets_the_event() -> None:
    event = ClientEventFactory(type="message.delivered")
    wants_all = EndpointFactory(owner=event.owner)
    wants_it = EndpointFactory(owner=event.owner, events=["message.sent", "message.delivered"])
    EndpointFactory(owner=event.owner, events=["message.sent"])
    EndpointFactory(owner=event.owner, is_enabled=False)
    EndpointFactory()

    event_log.number(now=NOW)

    assert deliveries() == [(event.pk, wants_all.url), (event.pk, wants_it.url)]
    assert set(WebhookDelivery.objects.values_list("state", "attempts", "next_attempt_at")) == {("pending", 0, NOW)}


def test_an_event_without_endpoints_creates_no_row() -> None:
    ClientEventFactory()

    event_log.number(now=NOW)

    assert WebhookDelivery.objects.count() == WebhookEndpoint.objects.count() == 0


def test_callback_urls_share_one_endpoint_for_each_owner_and_origin() -> None:
    owner = UserFactory()
    first, second, elsewhere = (
        ClientEventFactory(message=MessageFactory(owner=owner, callback_url=url))
        for url in ("https://a.example.com/1", "https://A.example.com/2", "https://a.example.com:8443/1")
    )
    other = ClientEventFactory(message=MessageFactory(callback_url="https://a.example.com/1"))

    event_log.number(now=NOW)

    assert deliveries() == [
        (first.pk, "https://a.example.com"),
        (second.pk, "https://a.example.com"),
        (elsewhere.pk, "https://a.example.com:8443"),
        (other.pk, "https://a.example.com"),
    ]
    assert set(WebhookEndpoint.objects.values_list("kind", flat=True)) == {"origin"}
    assert WebhookEndpoint.objects.count() == 3


def test_an_origin_endpoint_is_created_once() -> None:
    message = MessageFactory(callback_url="https://a.example.com/1")

    for _ in range(2):
        ClientEventFactory(message=message)
        event_log.number(now=NOW)

    assert (WebhookEndpoint.objects.count(), WebhookDelivery.objects.count()) == (1, 2)


@pytest.mark.parametrize("size", [1, 5])
def test_any_number_of_events_takes_the_same_queries(size: int) -> None:
    owner = UserFactory()
    EndpointFactory(owner=owner)
    for _ in range(size):
        ClientEventFactory(message=MessageFactory(owner=owner, callback_url="https://a.example.com/1"))
    EventLog.objects.create()

    with CaptureQueriesContext(connection) as queries:
        event_log.number(now=NOW)

    statements = [query["sql"].split(" ")[0] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert statements == ["SELECT"] * 4 + ["UPDATE"] * 2 + ["SELECT"] * 3 + ["INSERT"] * 2 + ["SELECT"]


# --- Purge ------------------------------------------------------------------------------------------------------------


def test_events_older_than_a_week_are_deleted_with_their_deliveries() -> None:
    at = [NOW - timedelta(days=7, seconds=1), NOW - timedelta(days=7)]
    old, kept = (WebhookDeliveryFactory(event=ClientEventFactory(at=time)) for time in at)
    WebhookDeliveryFactory(event=None, created_at=NOW - timedelta(days=8))
    EndpointFactory(kind="origin", created_at=NOW - timedelta(days=8))
    recent = EndpointFactory(kind="origin", created_at=NOW - timedelta(days=6))

    assert event_log.purge(now=NOW) == 1

    assert list(ClientEvent.objects.all()) == [kept.event]
    assert list(WebhookDelivery.objects.all()) == [kept]
    assert list(WebhookEndpoint.objects.filter(kind="origin")) == [recent]
    assert WebhookEndpoint.objects.filter(pk__in=[old.endpoint_id, kept.endpoint_id]).count() == 2
