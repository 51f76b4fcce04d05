"""The pace of a queue: who may send, when, and how many."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from messaging.models import Message, OutboundQueue
from messaging.states import Status

_ready = Message.objects.filter(queue=OuterRef("pk"), status=Status.QUEUED, next_attempt_at__isnull=True)


def queues_to_drain() -> list[str]:
    """Queues without a pace that have something ready and are not paused."""
    queues = OutboundQueue.objects.filter(Exists(_ready), is_paused=False, batch_size__isnull=True)
    return list(queues.values_list("name", flat=True))


def due_ticks(*, now: datetime) -> list[str]:
    """Paced queues whose next tick has come."""
    due = Q(next_tick_at__isnull=True) | Q(next_tick_at__lte=now)
    return list(
        OutboundQueue.objects.filter(due, is_paused=False, batch_size__isnull=False).values_list("name", flat=True)
    )


def take_tick(*, queue_name: str, now: datetime) -> int:
    """How many messages this tick may send; 0 when it is not due, is taken already, or the queue is paused.

    One conditional UPDATE decides, so that two beats or ten workers still make one tick. Ticks that were missed are not
    made up for: the next one is an interval from now.
    """
    queue = OutboundQueue.objects.filter(pk=queue_name, is_paused=False, batch_size__isnull=False).first()
    if queue is None:
        return 0
    due = Q(next_tick_at__isnull=True) | Q(next_tick_at__lte=now)
    taken = OutboundQueue.objects.filter(
        due, pk=queue_name, is_paused=False, batch_size=queue.batch_size, interval_seconds=queue.interval_seconds
    ).update(next_tick_at=now + timedelta(seconds=queue.interval_seconds))
    return queue.batch_size if taken else 0


def oldest_ready() -> datetime | None:
    """When the oldest message was created that should have been sent already: paced and paused queues may let theirs wait."""
    oldest = _ready.order_by("pk").values("created_at")[:1]
    queues = OutboundQueue.objects.filter(is_paused=False, batch_size__isnull=True)
    times = queues.annotate(oldest=oldest).values_list("oldest", flat=True)
    return min((time for time in times if time is not None), default=None)
