"""Pages of a user's messages, newest first, at the same cost for a thousand rows and for ten million.

Rows are paged by id, a UUIDv7, so rows that are added meanwhile neither repeat nor hide others. Within a period of `sent`, the
order is that of the times at which messages were sent, which have an index; an incoming text has the time of its id.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from messaging.models import Message
from messaging.states import Direction

# An id may be a moment older or younger than the row's `created_at`.
TOLERANCE = timedelta(minutes=5)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


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


@dataclass(frozen=True, slots=True)
class RowPosition:
    """A row in the order of a list. `at` is its time within a period, and else not needed."""

    id: UUID
    at: datetime = EARLIEST


def page(
    query: MessageQuery, *, size: int, after: RowPosition | None = None, before: RowPosition | None = None
) -> list[Message]:
    """Up to `size` rows, newest first: those that follow the row `after`, or those that end before the row `before`."""
    rows = Message.objects.filter(owner=query.owner_id).prefetch_related("attachments")
    if query.to:
        rows = rows.filter(to_number=query.to)
    if query.sender:
        rows = rows.filter(from_number=query.sender)
    if query.sent is not None:
        start, end = max(query.sent.start, EARLIEST), min(query.sent.end, LATEST)
        return _of_period(rows, Period(start, end), size, after, before) if start < end else []
    if before is not None:
        return list(rows.filter(pk__gt=before.id).order_by("pk")[:size])[::-1]
    return list((rows if after is None else rows.filter(pk__lt=after.id)).order_by("-pk")[:size])


def position(message: Message) -> RowPosition:
    """Where the message is in the order of a period."""
    is_sent = message.sent_at is not None and message.direction == Direction.OUTBOUND
    at = message.sent_at if is_sent else EARLIEST + (message.pk.int >> 80) * _MILLISECOND
    return RowPosition(message.pk, at or EARLIEST)


def _of_period(
    rows: QuerySet[Message], period: Period, size: int, after: RowPosition | None, before: RowPosition | None
) -> list[Message]:
    """Sent messages and incoming texts, each from their own index. Where the first fill a page, the others end with it."""
    found = list(_sent(rows, period, after, before)[:size])
    texts = _received(rows, period, after, before)
    if len(found) == size:
        last = position(found[-1]).at
        texts = texts.filter(pk__gte=_first_id(last)) if before is None else texts.filter(pk__lt=_next_id(last))
    found += texts[:size]
    found.sort(key=_order, reverse=before is None)
    return found[:size] if before is None else found[:size][::-1]


def _order(message: Message) -> tuple[datetime, UUID]:
    its = position(message)
    return its.at, its.id


def _sent(
    rows: QuerySet[Message], period: Period, after: RowPosition | None, before: RowPosition | None
) -> QuerySet[Message]:
    rows = rows.filter(direction=Direction.OUTBOUND, sent_at__gte=period.start, sent_at__lt=period.end)
    if before is not None:
        later = Q(sent_at__gt=before.at) | Q(sent_at=before.at, pk__gt=before.id)
        return rows.filter(later, sent_at__gte=before.at).order_by("sent_at", "pk")
    if after is not None:
        earlier = Q(sent_at__lt=after.at) | Q(sent_at=after.at, pk__lt=after.id)
        rows = rows.filter(earlier, sent_at__lte=after.at)
    return rows.order_by("-sent_at", "-pk")


def _received(
    rows: QuerySet[Message], period: Period, after: RowPosition | None, before: RowPosition | None
) -> QuerySet[Message]:
    first, end = max(period.start, EARLIEST + TOLERANCE) - TOLERANCE, period.end + TOLERANCE
    rows = rows.filter(
        direction=Direction.INBOUND,
        created_at__gte=period.start,
        created_at__lt=period.end,
        pk__gte=_first_id(first),
        pk__lt=_first_id(end),
    )
    if before is not None:
        return rows.filter(pk__gte=_bound(before)).exclude(pk=before.id).order_by("pk")
    return (rows if after is None else rows.filter(pk__lt=_bound(after))).order_by("-pk")


def _bound(its: RowPosition) -> UUID:
    """Incoming texts with smaller ids follow this row."""
    if its.at.microsecond % 1_000:
        return _next_id(its.at)
    return min(max(its.id, _first_id(its.at)), _next_id(its.at))


def _first_id(at: datetime) -> UUID:
    """The smallest UUIDv7 of the millisecond."""
    return UUID(int=((at - EARLIEST) // _MILLISECOND << 80) | (0x7 << 76) | (0x2 << 62))


def _next_id(at: datetime) -> UUID:
    return _first_id(at + _MILLISECOND)
