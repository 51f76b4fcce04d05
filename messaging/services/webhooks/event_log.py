"""Numbering events after their commit, and giving each to the endpoints that want it.

A number is given in a transaction that no other numbering can overtake, so numbers become visible in their order: a reader
that has seen one has seen all that are below it. The one who numbers is also the one who fans out; both are done or none.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from messaging.models import ClientEvent, EventLog, Message, WebhookDelivery, WebhookEndpoint

CHUNK = 500
KEPT_FOR = timedelta(days=7)
PURGE_CHUNK = 2_000
MAX_PURGE_CHUNKS = 500


def number(*, now: datetime, notify: Callable[[Collection[int]], None] = lambda _owners: None) -> int:
    """Number what has been committed, oldest first, and write the deliveries that follow; returns how many events.

    `notify` gets whose events they were, after each commit.
    """
    total = 0
    while ClientEvent.objects.filter(sequence__isnull=True).exists():
        owners = _number_chunk(now)
        if owners:
            notify(set(owners))
        total += len(owners)
        if len(owners) < CHUNK:
            break
    return total


def _number_chunk(now: datetime) -> list[int]:
    """The owner of each event that has its number now."""
    EventLog.objects.get_or_create(pk=1)
    with transaction.atomic():
        log = EventLog.objects.select_for_update().get(pk=1)
        events = list(ClientEvent.objects.filter(sequence__isnull=True).order_by("pk")[:CHUNK])
        if not events:
            return []
        # The id, raised above the last number where a transaction was committed later than its id says.
        raised_by = max(0, log.last_sequence + 1 - events[0].pk)
        ClientEvent.objects.filter(pk__in=[event.pk for event in events]).update(sequence=F("pk") + raised_by)
        log.last_sequence = events[-1].pk + raised_by
        log.save(update_fields=["last_sequence"])
        _fan_out(events, now)
    return [event.owner_id for event in events]


def _fan_out(events: Sequence[ClientEvent], now: datetime) -> None:
    endpoints = WebhookEndpoint.objects.filter(
        owner__in={event.owner_id for event in events}, kind=WebhookEndpoint.Kind.ENDPOINT, is_enabled=True
    )
    wanted: dict[int, list[WebhookEndpoint]] = {}
    for endpoint in endpoints:
        wanted.setdefault(endpoint.owner_id, []).append(endpoint)
    pairs = [
        (event, endpoint.pk)
        for event in events
        for endpoint in wanted.get(event.owner_id, ())
        if not endpoint.events or event.type in endpoint.events
    ]
    pairs += _to_callback_urls([event for event in events if event.has_callback_url], now)
    if pairs:
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(event=event, endpoint_id=endpoint_id, next_attempt_at=now, created_at=now)
            for event, endpoint_id in pairs
        )


def _to_callback_urls(events: Sequence[ClientEvent], now: datetime) -> list[tuple[ClientEvent, UUID]]:
    if not events:
        return []
    urls = dict(Message.objects.filter(pk__in=[event.message_id for event in events]).values_list("pk", "callback_url"))
    keys = {event.pk: (event.owner_id, _origin(urls[event.message_id])) for event in events if event.message_id in urls}
    lanes = _origins(set(keys.values()), now)
    return [(event, lanes[keys[event.pk]]) for event in events if event.pk in keys]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _origins(keys: set[tuple[int, str]], now: datetime) -> dict[tuple[int, str], UUID]:
    """The endpoints that stand for these owners and origins; those that are missing are made."""
    origin = WebhookEndpoint.Kind.ORIGIN
    known = WebhookEndpoint.objects.filter(
        kind=origin, owner__in={owner for owner, _ in keys}, url__in={url for _, url in keys}
    )
    lanes = {(row.owner_id, row.url): row.pk for row in known}
    missing = [
        WebhookEndpoint(kind=origin, owner_id=owner, url=url, created_at=now, updated_at=now)
        for owner, url in sorted(keys - set(lanes))
    ]
    WebhookEndpoint.objects.bulk_create(missing)
    return lanes | {(row.owner_id, row.url): row.pk for row in missing}


def purge(*, now: datetime) -> int:
    """Events and their deliveries older than a week, oldest first and a bounded number at a time."""
    total = 0
    for _ in range(MAX_PURGE_CHUNKS):
        oldest = ClientEvent.objects.order_by("pk").values_list("pk", "at")[:PURGE_CHUNK]
        over = [pk for pk, at in oldest if at < now - KEPT_FOR]
        with transaction.atomic():
            WebhookDelivery.objects.filter(event__in=over).delete()
            ClientEvent.objects.filter(pk__in=over).delete()
        total += len(over)
        if len(over) < PURGE_CHUNK:
            break
    WebhookDelivery.objects.filter(event__isnull=True, created_at__lt=now - KEPT_FOR).delete()
    WebhookEndpoint.objects.filter(
        ~Exists(WebhookDelivery.objects.filter(endpoint=OuterRef("pk"))),
        kind=WebhookEndpoint.Kind.ORIGIN,
        created_at__lt=now - KEPT_FOR,
    ).delete()
    return total
