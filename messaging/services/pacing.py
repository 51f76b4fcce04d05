"""The pace of a queue: who may send, when, and how many."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from messaging.models import Message, OutboundQueue
from messaging.states import Status

EARLY_GRACE = timedelta(seconds=1)
# A tick that comes later than this part of the interval begins a new grid.
LATE = 4

_ready = Message.objects.filter(queue=OuterRef("pk"), status=Status.QUEUED, next_attempt_at__isnull=True)


def queues_to_drain() -> list[str]:
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


def oldest_ready() -> datetime | None:
    """When the oldest message was created that should have been sent already: paced and paused queues may let theirs wait."""
    oldest = _ready.order_by("pk").values("created_at")[:1]
    queues = OutboundQueue.objects.filter(is_paused=False, batch_size__isnull=True)
    times = queues.annotate(oldest=oldest).values_list("oldest", flat=True)
    return min((time for time in times if time is not None), default=None)
