"""Create, change and count queues, and keep the periodic task of each paced queue in sync."""

import json
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, OuterRef
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from messaging.categories import Priority
from messaging.models import Message, OutboundQueue
from messaging.models.queue import MAX_BATCH, MAX_INTERVAL
from messaging.services.errors import InvalidField
from messaging.services.outbound import hours, hours_rules, pacing, sender_pools
from messaging.services.outbound.owner_policies import check_quiet_hours
from messaging.states import Status

TICK_TASK = "messaging.paced_tick"
MAXIMA = {"batch_size": MAX_BATCH, "interval_seconds": MAX_INTERVAL}
PACE = MAXIMA.keys()
QUIET = ("quiet_from", "quiet_until")
EDITABLE = (
    *("description", "batch_size", "interval_seconds", "preserve_order", "is_paused", "routing_strategy"),
    "use_conversion",
    *QUIET,
)


def create(queue: OutboundQueue) -> OutboundQueue:
    """Store a new queue. Raises `InvalidField` for an incomplete pace, or one beyond its limits, and for no quiet hours."""
    check_pace(queue)
    check_quiet_hours(queue.quiet_from, queue.quiet_until)
    with transaction.atomic():
        queue.save(force_insert=True)
        keep_beat_in_step(queue)
    hours.expire()
    return queue


def change(*, name: str, changes: dict[str, Any]) -> OutboundQueue:
    """Change some of the `EDITABLE` fields. A pause stops claims at once; other changes take effect at the next tick.

    `sender_pool`, the numbers of senders, may be changed, too. Messages that are held are judged by new quiet hours as by new
    rules of hours.

    Raises `OutboundQueue.DoesNotExist`, and `InvalidField` for an incomplete pace, or one beyond its limits, and for wall times
    that are no quiet hours, and for senders that cannot be in a pool.
    """
    with transaction.atomic():
        queue = OutboundQueue.objects.select_for_update().get(pk=name)
        quiet_before = (queue.quiet_from, queue.quiet_until)
        for field in EDITABLE:
            if field in changes:
                setattr(queue, field, changes[field])
        if PACE & changes.keys():
            check_pace(queue)
        check_quiet_hours(queue.quiet_from, queue.quiet_until)
        queue.save(update_fields=[*EDITABLE, "updated_at"])
        keep_beat_in_step(queue)
        if "sender_pool" in changes:
            queue.sender_pool.set(sender_pools.find(changes["sender_pool"]))
        if quiet_before != (queue.quiet_from, queue.quiet_until):
            hours_rules.note_change(timezone.now())
    sender_pools.expire()
    return queue


def check_pace(queue: OutboundQueue) -> None:
    if (queue.batch_size is None) != (queue.interval_seconds is None):
        missing = "interval_seconds" if queue.interval_seconds is None else "batch_size"
        raise InvalidField(missing, "half_a_pace", "Set batch_size and interval_seconds together, or neither.")
    for field, maximum in MAXIMA.items():
        if (getattr(queue, field) or 0) > maximum:
            raise InvalidField(field, "max_value", f"The maximum is {maximum:,}.")


def keep_beat_in_step(queue: OutboundQueue) -> None:
    """Give a paced queue its periodic task, with the queue's interval, disabled while the queue is paused."""
    task_name = f"queue {queue.name}"
    if queue.interval_seconds is None:
        PeriodicTask.objects.filter(name=task_name).delete()
        return
    interval, _ = IntervalSchedule.objects.get_or_create(every=queue.interval_seconds, period=IntervalSchedule.SECONDS)
    wanted = {
        "task": TICK_TASK,
        "interval": interval,
        "args": json.dumps([queue.name]),
        "enabled": not queue.is_paused,
        "expire_seconds": queue.interval_seconds,
        "description": "Made by the queue; change the queue instead.",
    }
    task, created = PeriodicTask.objects.get_or_create(name=task_name, defaults=wanted)
    if not created and any(getattr(task, field) != value for field, value in wanted.items()):
        if not task.enabled:
            # A disabled task forgets its last run, and would wait for a whole interval after it is enabled again.
            task.last_run_at = pacing.last_tick_before(queue, now=queue.updated_at)
        for field, value in wanted.items():
            setattr(task, field, value)
        task.save()


def names() -> list[str]:
    return list(OutboundQueue.objects.order_by("name").values_list("name", flat=True))


def depths(names: list[str]) -> dict[str, int]:
    """Queued messages by queue, ready or deferred, from the partial indexes."""
    ready = Message.objects.filter(queue__in=names, status=Status.QUEUED, next_attempt_at__isnull=True)
    deferred = Message.objects.filter(queue__in=names, status=Status.QUEUED, next_attempt_at__isnull=False)
    counts = dict.fromkeys(names, 0)
    for rows in (ready, deferred):
        for name, count in rows.order_by().values_list("queue_id").annotate(count=Count("pk")):
            counts[name] += count
    return counts


def oldest_queued(names: list[str]) -> dict[str, datetime]:
    """When the oldest queued message of each queue was created: four index look-ups per queue.

    Among deferred messages it takes the one that is due first, which is the oldest or nearly so.
    """
    waiting = Message.objects.filter(queue=OuterRef("pk"), status=Status.QUEUED).values("created_at")
    ready = waiting.filter(next_attempt_at__isnull=True).order_by("priority", "pk")  # as `message_ready` has them
    firsts = {
        **{f"ready_{priority.value}": ready.filter(priority=priority)[:1] for priority in Priority},
        "deferred": waiting.filter(next_attempt_at__isnull=False).order_by("next_attempt_at")[:1],
    }
    rows = OutboundQueue.objects.filter(pk__in=names).annotate(**firsts).values_list("name", *firsts)
    times = {name: [created_at for created_at in found if created_at is not None] for name, *found in rows}
    return {name: min(found) for name, found in times.items() if found}
