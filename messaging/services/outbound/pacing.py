"""Pacing: which queues may send now, and how many messages."""

from datetime import datetime, timedelta

from django.db.models import Case, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Greatest

from messaging.categories import Priority
from messaging.models import Message, OutboundQueue
from messaging.services.outbound import order
from messaging.states import Status

EARLY_GRACE = timedelta(seconds=1)
# A tick that is late by more than 1/LATE of the interval starts a new grid.
LATE = 4
# Bounds of the search for a due message behind messages that wait for older ones: rows per page, and pages.
PAGE, PAGES = 500, 20

_ready = Message.objects.filter(queue=OuterRef("pk"), status=Status.QUEUED, next_attempt_at__isnull=True)


def with_ready_messages() -> QuerySet[OutboundQueue]:
    """The queues that are neither paced nor paused and have ready messages."""
    # One look-up in the claim's index for each queue. PostgreSQL makes a join of EXISTS, and may read all messages for it.
    first_ready = Subquery(_ready.order_by("priority", "pk").values("pk")[:1])
    queues = OutboundQueue.objects.filter(is_paused=False, batch_size__isnull=True)
    return queues.annotate(first_ready=first_ready).filter(first_ready__isnull=False)


def queues_to_dispatch() -> list[str]:
    """The names of `with_ready_messages`."""
    return list(with_ready_messages().values_list("name", flat=True))


def take_tick(*, queue_name: str, now: datetime) -> int:
    """Claim the queue's tick and return how many messages it may send; 0 if there is no tick to claim.

    There is none when the tick is not due or already taken, and when the queue is paused or has no pace. One conditional
    UPDATE decides, so two beats or ten workers still make one tick. Missed ticks are not made up for. A tick that is a little
    late keeps the grid, so that the next punctual one counts again.
    """
    queue = OutboundQueue.objects.filter(pk=queue_name, is_paused=False, batch_size__isnull=False).first()
    if queue is None or queue.batch_size is None or queue.interval_seconds is None:
        return 0
    interval = timedelta(seconds=queue.interval_seconds)
    # Beat's clock is not exact: a tick that is a little early counts as the due one, and keeps the grid.
    grace = min(EARLY_GRACE, interval / 10)
    # A last tick in the future comes from a wrong clock; waiting for it would stop the queue until then.
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
    """The latest tick of the grid, or now if the tick starts a new grid."""
    if last is None or last > now:
        return now
    tick = last + (now - last + grace) // interval * interval
    return tick if now - tick <= interval / LATE else now


def last_tick_before(queue: OutboundQueue, *, now: datetime) -> datetime | None:
    """The latest tick of the queue's grid, taken or not; None before the first one, and for a queue without a pace."""
    if queue.last_tick_at is None or queue.interval_seconds is None or queue.last_tick_at > now:
        return None
    interval = timedelta(seconds=queue.interval_seconds)
    return queue.last_tick_at + (now - queue.last_tick_at) // interval * interval


def oldest_due(*, now: datetime) -> datetime | None:
    """Since when the longest-due message has been due; None when no message is due. Paced and paused queues do not count.

    A message is due when nothing defers it and it waits for no older one to the same number. After a failed round or a wait for
    an account, it is due since it was released.
    """
    unpaced = OutboundQueue.objects.filter(is_paused=False, batch_size__isnull=True)
    firsts = {
        f"first_{priority.value}": Subquery(
            _ready.filter(priority=priority).order_by("priority", "pk").values("pk")[:1]
        )
        for priority in Priority
    }
    found = [pk for row in unpaced.annotate(**firsts).values_list(*firsts) for pk in row if pk is not None]
    first_messages = Message.objects.filter(pk__in=found).annotate(since=_due_since(), waits=_waits_for_older(now))
    rows = first_messages.values_list("queue", "priority", "since", "waits")
    times = [_first_due(queue, priority, now) if waits else since for queue, priority, since, waits in rows]
    return min((time for time in times if time is not None), default=None)


def _due_since() -> Greatest:
    # `updated_at` alone does not tell: it also changes when a claim is returned, and when a file is attached.
    released = Case(When(Q(attempts__gt=0) | ~Q(error_code=""), then="updated_at"), default="created_at")
    return Greatest("created_at", Coalesce("send_at", "created_at"), released)


def _waits_for_older(now: datetime) -> Q:
    return Q(queue__preserve_order=True) & order.waits(now=now)


def _first_due(queue_name: str, priority: int, now: datetime) -> datetime | None:
    """Search page by page, and exclude the numbers already seen: 100,000 messages behind one number are skipped at once.

    `NOT EXISTS` in one statement would search an older message for each of them, which takes 20 times as long.
    """
    ready = Message.objects.filter(
        queue=queue_name, priority=priority, status=Status.QUEUED, next_attempt_at__isnull=True
    )
    # In the order of the claim's index: ordered by the key alone, PostgreSQL may scan every message ever stored.
    ready = ready.order_by("priority", "pk")
    numbers: set[str] = set()
    for _ in range(PAGES):
        unseen = ready.exclude(to_number__in=numbers).annotate(since=_due_since(), waits=_waits_for_older(now))
        page = list(unseen.values_list("pk", "to_number", "since", "waits")[:PAGE])
        due = [since for _, _, since, waits in page if not waits]
        if due or len(page) < PAGE:
            return min(due, default=None)
        numbers.update(number for _, number, _, _ in page)
        ready = ready.filter(pk__gt=page[-1][0])
    return None
