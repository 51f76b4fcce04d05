"""Everything that is kept of one person: the messages and what belongs to them. `scheduling.services.person_export` adds lists.

A section is read in chunks while the client takes it, so memory does not grow with the number of messages. Nothing of others
is in it: no names of staff or clients, no secrets, and no callback that may be about several people.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Prefetch

from messaging.models import ClientEvent, Message, MessageEvent, PhoneNumber, ProviderCallback, WebhookDelivery
from messaging.models.encrypted import fault_of
from messaging.services import transitions
from messaging.services.privacy import person_tables
from messaging.services.privacy.person_tables import Row, Section
from messaging.services.representation import isoformat_utc, serialize_message_lenient
from messaging.states import Direction

PERMISSION = "messaging.export_number"
CHUNK = 200
MEDIA_PATH = "/api/v1/media/{}/content/"


def record(*, number: str, actor: User) -> None:
    """Write to the audit log who exported whom. An erasure puts its pseudonym there, as in other entries."""
    LogEntry.objects.create(
        user_id=actor.pk,
        content_type=ContentType.objects.get_for_model(PhoneNumber),
        object_id=number,
        object_repr=number,
        action_flag=CHANGE,
        change_message="Exported everything that is kept of this person.",
    )


def messages(number: str) -> Iterator[Row]:
    """Texts to the person, oldest first, then those from the person; with history, attempts, media, webhooks and callbacks."""
    sides = (
        Message.objects.filter(direction=Direction.OUTBOUND, to_number=number),
        Message.objects.filter(direction=Direction.INBOUND, from_number=number),
    )
    for side in sides:
        after: UUID | None = None
        while True:
            rows = side if after is None else side.filter(pk__gt=after)
            ids = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])
            if not ids:
                break
            yield from _serialized(ids)
            after = ids[-1]


def _serialized(ids: list[UUID]) -> Iterator[Row]:
    related = Message.objects.filter(pk__in=ids).prefetch_related(
        "attachments", "delivery_attempts", Prefetch("events", MessageEvent.objects.order_by("pk"))
    )
    webhooks, callbacks = _webhooks(ids), _callbacks(ids)
    for row in related.order_by("pk"):
        yield {
            **serialize_message_lenient(row),
            "text_unreadable": bool(fault_of(row, "text")),
            "media_links": [MEDIA_PATH.format(file.asset_id) for file in row.attachments.all() if file.asset_id],
            "media_sources": [file.source_url for file in row.attachments.all() if file.source_url],
            "events": [_event(event) for event in transitions.with_creation(row, list(row.events.all()))],
            "delivery_attempts": [
                {
                    "number": attempt.number,
                    "provider": attempt.provider_id,
                    "outcome": attempt.outcome,
                    "error": attempt.error_code or None,
                    "detail": attempt.error_detail or None,
                    "provider_message_id": attempt.provider_message_id or None,
                    "started_at": isoformat_utc(attempt.started_at),
                    "finished_at": isoformat_utc(attempt.finished_at),
                }
                for attempt in row.delivery_attempts.all()
            ],
            "webhooks": webhooks.get(row.pk, []),
            "callbacks": callbacks.get(row.pk, []),
        }


def _event(event: MessageEvent) -> Row:
    return {
        "at": isoformat_utc(event.at),
        "from": event.from_status or None,
        "to": event.to_status,
        "source": event.source,
        "provider": event.provider_slug or None,
        "detail": event.detail or None,
    }


def _webhooks(message_ids: list[UUID]) -> dict[UUID, list[Row]]:
    """Of each message the events that its owner was to be told, and the hosts that were."""
    deliveries = Prefetch("deliveries", WebhookDelivery.objects.select_related("endpoint").order_by("pk"))
    found: dict[UUID, list[Row]] = {}
    for event in ClientEvent.objects.filter(message_id__in=message_ids).prefetch_related(deliveries).order_by("pk"):
        if event.message_id is None:
            continue
        found.setdefault(event.message_id, []).append(
            {
                "type": event.type,
                "at": isoformat_utc(event.at),
                "snapshot": event.snapshot,
                "deliveries": [
                    {
                        "host": urlsplit(delivery.endpoint.url).hostname,
                        "state": delivery.state,
                        "error": delivery.error or None,
                        "attempted_at": isoformat_utc(delivery.attempted_at),
                    }
                    for delivery in event.deliveries.all()
                ],
            }
        )
    return found


def _callbacks(message_ids: list[UUID]) -> dict[UUID, list[Row]]:
    """What carriers reported about the messages, or sent with them. Two queries, each with an index of its own."""
    found: dict[UUID, dict[UUID, Row]] = {}
    for row in ProviderCallback.objects.filter(attempt__message__in=message_ids).select_related("attempt"):
        if row.attempt is not None:
            found.setdefault(row.attempt.message_id, {})[row.pk] = person_tables.callback(row)
    for row in ProviderCallback.objects.filter(message__in=message_ids):
        if row.message_id is not None:
            found.setdefault(row.message_id, {})[row.pk] = person_tables.callback(row)
    return {message_id: [rows[pk] for pk in sorted(rows)] for message_id, rows in found.items()}


SECTIONS: Mapping[str, Section] = {
    "phone_number": person_tables.phone_numbers,
    "messages": messages,
    **person_tables.SECTIONS,
}
