"""Queries of live streams: the next page of the event log, and cheap checks for many streams at once."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import OuterRef, Subquery

from messaging.models import ClientEvent, EventLog, Message
from messaging.services import events
from messaging.services.representation import serialize_message_lenient

CHUNK = 100


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order. Continue after `last_sequence`, at once if the log `has_more`."""

    events: list[dict[str, Any]]
    last_sequence: int
    has_more: bool


def last_sequence() -> int:
    """The highest sequence of any owner's events; later events have higher ones."""
    return EventLog.objects.filter(pk=1).values_list("last_sequence", flat=True).first() or 0


def read(
    *, owner_id: int | None, message_id: UUID | None, after: int, readable: bool = True, limit: int = CHUNK
) -> EventPage:
    """The events after a sequence: of one message, or else of all of the owner's; with texts if `readable`."""
    found = ClientEvent.objects.filter(sequence__gt=after).order_by("sequence")
    # Filter by one index, never by both: the planner would read an owner's whole log for one message.
    found = found.filter(message_id=message_id) if message_id else found.filter(owner=owner_id)
    rows = list(found[:limit])
    messages = Message.objects.prefetch_related("attachments").in_bulk({row.message_id for row in rows} - {None})
    # A stream is read once and in order, so an event whose text cannot be decrypted is sent without the text.
    show = partial(serialize_message_lenient, readable=readable)
    bodies = [events.body(row, messages.get(row.message_id), show=show) for row in rows]
    last = rows[-1].sequence if rows else None
    return EventPage(
        events=[body for body in bodies if body is not None],  # None: its message has been erased
        last_sequence=after if last is None else last,
        has_more=len(rows) == limit,
    )


def newest(owner_ids: Collection[int]) -> dict[int, int]:
    """The sequence of each owner's newest event: one query, with one index lookup for each owner."""
    last = ClientEvent.objects.filter(owner=OuterRef("pk"), sequence__isnull=False).order_by("-sequence")
    owners = get_user_model().objects.filter(pk__in=owner_ids)
    rows = owners.annotate(newest=Subquery(last.values("sequence")[:1])).values_list("pk", "newest")
    return {owner_id: sequence for owner_id, sequence in rows if sequence is not None}


def statuses(message_ids: Collection[UUID]) -> dict[UUID, str]:
    return dict(Message.objects.filter(pk__in=message_ids).values_list("pk", "status"))
