"""What live streams ask of the database: the next page of the log, and cheap questions about many at once."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import OuterRef, Subquery

from messaging.models import ClientEvent, EventLog, Message
from messaging.services import events as client_events
from messaging.services.representation import serialize_message_lenient

CHUNK = 100


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in their order. `upto` is where to go on, at once if there `is_more`."""

    events: list[dict[str, Any]]
    upto: int
    is_more: bool


def last_sequence() -> int:
    """The last number given to anybody's event; what happens from now on has a larger one."""
    return EventLog.objects.filter(pk=1).values_list("last_sequence", flat=True).first() or 0


def read(
    *, owner_id: int | None, message_id: UUID | None, after: int, readable: bool = True, limit: int = CHUNK
) -> EventPage:
    """What comes after that number: of one message where it is named, else of all of the owner's; with texts if `readable`."""
    events = ClientEvent.objects.filter(sequence__gt=after).order_by("sequence")
    # By either index alone, never by both: the planner would read an owner's whole log for one message.
    events = events.filter(message_id=message_id) if message_id else events.filter(owner=owner_id)
    rows = list(events[:limit])
    messages = Message.objects.prefetch_related("attachments").in_bulk({row.message_id for row in rows} - {None})
    # A stream is read once and in order: an event whose text cannot be opened goes out without it, or it would never.
    show = partial(serialize_message_lenient, readable=readable)
    bodies = [client_events.body(row, messages.get(row.message_id), show=show) for row in rows]
    return EventPage(
        events=[
            body for body in bodies if body is not None
        ],  # one whose message has been erased tells nothing any more
        last_sequence=rows[-1].sequence if rows else after,
        has_more=len(rows) == limit,
    )


def newest(owner_ids: Collection[int]) -> dict[int, int]:
    """The number of each owner's newest event: one probe of the index for each, in one query."""
    last = ClientEvent.objects.filter(owner=OuterRef("pk"), sequence__isnull=False).order_by("-sequence")
    owners = get_user_model().objects.filter(pk__in=owner_ids)
    rows = owners.annotate(newest=Subquery(last.values("sequence")[:1])).values_list("pk", "newest")
    return {owner_id: sequence for owner_id, sequence in rows if sequence is not None}


def statuses(message_ids: Collection[UUID]) -> dict[UUID, str]:
    return dict(Message.objects.filter(pk__in=message_ids).values_list("pk", "status"))
