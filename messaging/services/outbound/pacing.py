"""The pace of a queue: who may send, when, and how many."""

from datetime import datetime, timedelta

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Greatest

from messaging.models import Message, OutboundQueue
from messaging.services.outbound import order
from messaging.states import Status

EARLY_GRACE = timedelta(seconds=1)
# A tick that comes later than this part of the interval begins a new grid.
LATE = 4
# How far to look for a message that is due, where those in front wait for others: numbers are at most so many.
PAGE, PAGES = 500, 20

_ready = Message.objects.filter(queue=OuterRef("pk"), status=Status.QUEUED, next_attempt_at__isnull=True)


def queues_to_dispatch() -> list[str]:
    """Queues without a pace that have something ready and are not paused."""
    queues = OutboundQueue.objects.filter(Exists(_ready), is_paused=False, batch_size__isnull=True)
    return list(queues.values_list("name", flat=True))


def take_tick(*, queue_name: str, now: datetime) -> int:
    """How many messages this tick may send; 0 when it is not due, is taken already, or the queue is paused or has no pace.

    One conditional UPDATE decides, so that two beats or ten workers still make one tick. Ticks that were missed are not
    made up for. One that comes a little late keeps the grid: the next one, which is punctual, counts again.
    """
    queue = OutboundQueue.objects.filter(pk=queue_name, is_paused=False, batch_size__isnull=False).first()
    if queue is None:
        return 0
    interval = timedelta(seconds=queue.interval_seconds)
    # Beat's clock is not exact: a tick that comes a little early counts as the one that is due, and keeps the grid.
    grace = min(EARLY_GRACE, interval / 10)
    # A tick in the future was taken by a clock that was wrong; waiting for it would stop the queue for as long.
    due = (
        Q(last_tick_at__isnull=True) | Q(last_tick_at__lte=now - interval + grace) | Q(last_tick_at__gt=now + interval)
    )
    taken = OutboundQueue.objects.filter(
        due,
        pk=queue_name,
        is_paused=False,
        batch_size=queue.batch_size,
        interval_seconds=queue.interval_seconds,
        last_tick_at=queue.last_tick_at,
    ).update(last_tick_at=_on_grid(queue.last_tick_at, now, interval, grace))
    return queue.batch_size if taken else 0


def _on_grid(last: datetime | None, now: datetime, interval: timedelta, grace: timedelta) -> datetime:
    """The tick of the grid that has come, or now where there is none."""
    if last is None or last > now:
        return now
    tick = last + (now - last + grace) // interval * interval
    return tick if now - tick <= interval / LATE else now


def last_tick_before(queue: OutboundQueue, *, now: datetime) -> datetime | None:
    """Where the queue's grid had its last tick, taken or not; None before the first, and without a pace."""
    if queue.last_tick_at is None or queue.interval_seconds is None or queue.last_tick_at > now:
        return None
    interval = timedelta(seconds=queue.interval_seconds)
    return queue.last_tick_at + (now - queue.last_tick_at) // interval * interval


def oldest_due(*, now: datetime) -> datetime | None:
    """Since when the oldest message of the queues that flow has been due; None where there is none.

    A message is due once nothing defers it and it waits for no older one to the same number. One that came back, after a
    failed round or a wait for an account, is due since then. Paced and paused queues may let theirs wait.
    """
    flowing = OutboundQueue.objects.filter(is_paused=False, batch_size__isnull=True)
    firsts = {
        name: Subquery(_ready.filter(is_bulk=is_bulk).order_by("is_bulk", "pk").values("pk")[:1])
        for name, is_bulk in (("single", False), ("bulk", True))
    }
    found = [pk for row in flowing.annotate(**firsts).values_list(*firsts) for pk in row if pk is not None]
    rows = _judged(Message.objects.filter(pk__in=found), now).values_list("queue", "is_bulk", "since", "waits")
    times = [_first_due(queue, is_bulk, now) if waits else since for queue, is_bulk, since, waits in rows]
    return min((time for time in times if time is not None), default=None)


def _judged(messages: QuerySet[Message], now: datetime) -> QuerySet[Message]:
    # `updated_at` alone is no measure: a claim that a dying worker gave back sets it, and so does a picture that is attached.
    came_back = Case(When(Q(attempts__gt=0) | ~Q(error_code=""), then="updated_at"), default="created_at")
    return messages.annotate(
        since=Greatest("created_at", Coalesce("send_at", "created_at"), came_back),
        waits=Exists(order.older_unsent(now=now).filter(queue__preserve_order=True)),
    )


def _first_due(queue_name: str, is_bulk: bool, now: datetime) -> datetime | None:
    """Page by page past those that wait, and past all others to their numbers: 100,000 behind one number are passed at once.

    `NOT EXISTS` in one statement would look for an older message for each of them, and take twenty times as long.
    """
    ready = Message.objects.filter(
        queue=queue_name, is_bulk=is_bulk, status=Status.QUEUED, next_attempt_at__isnull=True
    )
    # In the order of the claim's index: by the key alone, PostgreSQL may walk all messages that there ever were.
    ready = ready.order_by("is_bulk", "pk")
    numbers: set[str] = set()
    for _ in range(PAGES):
        others = _judged(ready, now).exclude(to_number__in=numbers)
        page = list(others.values_list("pk", "to_number", "since", "waits")[:PAGE])
        due = [since for _, _, since, waits in page if not waits]
        if due or len(page) < PAGE:
            return min(due, default=None)
        numbers.update(number for _, number, _, _ in page)
        ready = ready.filter(pk__gt=page[-1][0])
    return None
