"""Pages of a user's messages, newest first, at the same cost for a thousand rows and for ten million.

Rows are paged by id, a UUIDv7, so rows that are added meanwhile neither repeat nor hide others. A period of `sent_at` is read
from the same order: a message is sent at most `LONGEST_WAIT` after its creation, unless it was scheduled. Scheduled messages
have an index of their own, and follow where the ids of the others end. A message that an operator queued again after more than
`LONGEST_WAIT` is not found by the time of its sending.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from messaging.models import Message
from messaging.services.privacy.retention import id_at
from messaging.states import Direction

# The longest validity of a message.
LONGEST_WAIT = timedelta(days=7)
# An id may be a moment older or younger than the row's `created_at`.
TOLERANCE = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`."""

    start: datetime = EARLIEST
    end: datetime = LATEST


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """`sent` is when a message was sent, or an inbound one received."""

    owner_id: int
    to: str = ""
    sender: str = ""
    sent: Period | None = None


def page(query: MessageQuery, *, size: int, after: UUID | None = None, before: UUID | None = None) -> list[Message]:
    """Up to `size` rows, newest first: those that follow the row `after`, or those that end before the row `before`."""
    parts = _parts(query)
    if before is not None:
        newer = [part.filter(pk__gt=before).order_by("pk") for part in reversed(parts)]
        return _first(newer, size)[::-1]
    older = [(part if after is None else part.filter(pk__lt=after)).order_by("-pk") for part in parts]
    return _first(older, size)


def _first(parts: Sequence[QuerySet[Message]], size: int) -> list[Message]:
    rows: list[Message] = []
    for part in parts:
        if len(rows) < size:
            rows += part[: size - len(rows)]
    return rows


def _parts(query: MessageQuery) -> list[QuerySet[Message]]:
    """Disjoint sets of rows; all ids of one are greater than those of the next."""
    rows = Message.objects.filter(owner=query.owner_id)
    if query.to:
        rows = rows.filter(to_number=query.to)
    if query.sender:
        rows = rows.filter(from_number=query.sender)
    if query.sent is None:
        return [rows]
    start, end = max(query.sent.start, EARLIEST), min(query.sent.end, LATEST)
    if start >= end:
        return []
    is_sent = Q(sent_at__gte=start, sent_at__lt=end)
    is_received = Q(direction=Direction.INBOUND, created_at__gte=start, created_at__lt=end)
    first = id_at(max(start - LONGEST_WAIT, EARLIEST + TOLERANCE) - TOLERANCE)
    soon = rows.filter(is_sent | is_received, pk__gte=first, pk__lt=id_at(end + TOLERANCE))
    scheduled = rows.filter(is_sent, send_at__isnull=False, pk__lt=first)
    return [soon, scheduled]
