"""The event log: number committed events, and create a delivery for each subscribed endpoint.

Only one transaction assigns numbers at a time, so they become visible in order: a reader that has seen a number has seen all
lower ones. The same transaction creates the deliveries, and makes receipts and texts for clients that speak SMPP due.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from messaging.models import ClientEvent, EventLog, Message, WebhookDelivery, WebhookEndpoint
from messaging.services.webhooks import dialects, gateway_receipts, gateway_texts
from messaging.states import Direction

CHUNK = 500
KEPT_FOR = timedelta(days=7)
PURGE_CHUNK = 2_000
MAX_PURGE_CHUNKS = 500


class Unnumbered(NamedTuple):
    """The columns of an event that decide its deliveries."""

    pk: int
    owner_id: int
    type: str
    message_id: UUID | None
    has_callback_url: bool


def unnumbered() -> QuerySet[ClientEvent]:
    return ClientEvent.objects.filter(sequence__isnull=True)


def number(*, now: datetime, notify: Callable[[Collection[int]], None] = lambda _owners: None) -> int:
    """Number committed events, oldest first, and create their deliveries; return the number of events.

    `notify` gets the ids of their owners after each commit.
    """
    total = 0
    while unnumbered().exists():
        owners = _number_chunk(now)
        if owners:
            notify(set(owners))
        total += len(owners)
        if len(owners) < CHUNK:
            break
    return total


def _number_chunk(now: datetime) -> list[int]:
    """Return the owner of each event that was numbered."""
    EventLog.objects.get_or_create(pk=1)
    with transaction.atomic():
        log = EventLog.objects.select_for_update().get(pk=1)
        # Not the snapshots, which only the readers of a delivery or a stream need.
        waiting = unnumbered().order_by("pk").values_list(*Unnumbered._fields)
        events = [Unnumbered(*row) for row in waiting[:CHUNK]]
        if not events:
            return []
        # The number is the id, raised above the last number when a transaction committed later than its id suggests.
        raised_by = max(0, log.last_sequence + 1 - events[0].pk)
        ClientEvent.objects.filter(pk__in=[event.pk for event in events]).update(sequence=F("pk") + raised_by)
        log.last_sequence = events[-1].pk + raised_by
        log.save(update_fields=["last_sequence"])
        _fan_out(events, now)
        ended = {event.message_id for event in events if event.type in gateway_receipts.EVENT_TYPES}
        gateway_receipts.make_due({pk for pk in ended if pk is not None}, now=now)
        received = [event for event in events if event.type == gateway_texts.EVENT_TYPE]
        gateway_texts.add({each.message_id: each.owner_id for each in received if each.message_id is not None}, now=now)
    return [event.owner_id for event in events]


def _fan_out(events: Sequence[Unnumbered], now: datetime) -> None:
    endpoints = WebhookEndpoint.objects.filter(
        owner__in={event.owner_id for event in events}, kind=WebhookEndpoint.Kind.ENDPOINT, is_enabled=True
    )
    by_owner: dict[int, list[WebhookEndpoint]] = {}
    for endpoint in endpoints:
        by_owner.setdefault(endpoint.owner_id, []).append(endpoint)
    numbers = _our_numbers(events) if any(endpoint.number for endpoint in endpoints) else {}
    pairs = [
        (event.pk, endpoint.pk)
        for event in events
        for endpoint in by_owner.get(event.owner_id, ())
        if _is_for(endpoint, event, numbers)
    ]
    pairs += _to_callback_urls([event for event in events if event.has_callback_url], now)
    if pairs:
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(event_id=event_id, endpoint_id=endpoint_id, next_attempt_at=now, created_at=now)
            for event_id, endpoint_id in pairs
        )


def _our_numbers(events: Sequence[Unnumbered]) -> dict[UUID | None, str]:
    """The number of ours that each message was sent from, or received at."""
    rows = Message.objects.filter(pk__in={event.message_id for event in events if event.message_id})
    return {
        pk: to if direction == Direction.INBOUND else sender
        for pk, direction, sender, to in rows.values_list("pk", "direction", "from_number", "to_number")
    }


def _is_for(endpoint: WebhookEndpoint, event: Unnumbered, numbers: Mapping[UUID | None, str]) -> bool:
    if endpoint.events and event.type not in endpoint.events:
        return False
    if endpoint.number and numbers.get(event.message_id) != endpoint.number:
        return False
    return dialects.named(endpoint.dialect).wants(event.type, "")


def _to_callback_urls(events: Sequence[Unnumbered], now: datetime) -> list[tuple[int, UUID]]:
    if not events:
        return []
    rows = Message.objects.filter(pk__in=[event.message_id for event in events])
    called = {pk: (url, name) for pk, url, name in rows.values_list("pk", "callback_url", "callback_dialect")}
    keys = {
        event.pk: (event.owner_id, _origin(called[event.message_id][0]))
        for event in events
        if event.message_id in called and _wants(called[event.message_id][1], event.type)
    }
    endpoints = _origin_endpoints(set(keys.values()), now)
    return [(event.pk, endpoints[keys[event.pk]]) for event in events if event.pk in keys]


def _wants(dialect: str, event_type: str) -> bool:
    return dialects.named(dialect).wants(event_type, dialects.options_of(dialect))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _origin_endpoints(keys: set[tuple[int, str]], now: datetime) -> dict[tuple[int, str], UUID]:
    """The endpoint for each owner and origin of a `callback_url`; missing ones are created."""
    origin = WebhookEndpoint.Kind.ORIGIN
    known = WebhookEndpoint.objects.filter(
        kind=origin, owner__in={owner for owner, _ in keys}, url__in={url for _, url in keys}
    )
    endpoints = {(row.owner_id, row.url): row.pk for row in known}
    missing = [
        WebhookEndpoint(kind=origin, owner_id=owner, url=url, created_at=now, updated_at=now)
        for owner, url in sorted(keys - set(endpoints))
    ]
    WebhookEndpoint.objects.bulk_create(missing)
    return endpoints | {(row.owner_id, row.url): row.pk for row in missing}


def purge(*, now: datetime) -> int:
    """Delete events and deliveries older than `KEPT_FOR`, oldest first, in bounded chunks; return the number of events."""
    total = 0
    for _ in range(MAX_PURGE_CHUNKS):
        oldest = ClientEvent.objects.order_by("pk").values_list("pk", "at")[:PURGE_CHUNK]
        expired = [pk for pk, at in oldest if at < now - KEPT_FOR]
        with transaction.atomic():
            WebhookDelivery.objects.filter(event__in=expired).delete()
            ClientEvent.objects.filter(pk__in=expired).delete()
        total += len(expired)
        if len(expired) < PURGE_CHUNK:
            break
    WebhookDelivery.objects.filter(event__isnull=True, created_at__lt=now - KEPT_FOR).delete()
    WebhookEndpoint.objects.filter(
        ~Exists(WebhookDelivery.objects.filter(endpoint=OuterRef("pk"))),
        kind=WebhookEndpoint.Kind.ORIGIN,
        created_at__lt=now - KEPT_FOR,
    ).delete()
    return total
