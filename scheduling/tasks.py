"""Celery tasks of schedules."""

import logging
import threading
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from messaging import notifier
from messaging.tasks import dispatcher, open_work
from scheduling import zone_data
from scheduling.services import expansion, list_retention, retention, runs, schedules, zone_update

logger = logging.getLogger(__name__)

# Held by the one task of this process that expands runs. The other threads stay free for single messages.
_expanding = threading.Lock()


@shared_task(name="scheduling.tick")
def tick() -> None:
    """Start due runs, request the expansion of unleased runs, and resume interrupted cancels.

    `messaging.tick` requests it in each second in which it finds any of these.
    """
    now = timezone.now()
    zone_update.recompute_waiting(now=now)
    runs.start_due(now=now, max_lateness=timedelta(seconds=settings.SCHEDULE_MAX_LATENESS))
    if expansion.unfinished(now=now):
        notifier.publish(expand.name)
    schedules.finish_cancels(clock=timezone.now)


open_work.add(
    tick.name,
    lambda _now: zone_update.outdated(),
    runs.due,
    expansion.unleased,
    schedules.interrupted_cancels,
)


@shared_task(name="scheduling.expand")
def expand() -> None:
    """Expand all unfinished runs. Returns at once if another thread of this process is expanding."""
    if not _expanding.acquire(blocking=False):
        return
    try:
        expansion.expand_all(after_chunk=notifier.notify_queue, stopping=lambda: dispatcher.is_stopping)
    finally:
        _expanding.release()


@shared_task(name="scheduling.retain")
def retain() -> None:
    try:
        retention.erase_expired(now=timezone.now(), chunks=100)
    finally:
        list_retention.sweep(now=timezone.now())


@shared_task(name="scheduling.check_zone_data")
def check_zone_data() -> None:
    """Daily: log a warning if the zone data is older than a year."""
    if warning := zone_data.warning(timezone.now().date()):
        logger.warning(warning)
