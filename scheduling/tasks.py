"""Celery's side of schedules."""

import logging
import threading
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from messaging import notifier
from messaging.tasks import dispatcher
from scheduling import zone_data
from scheduling.services import expansion, retention, runs, schedules, zone_update

logger = logging.getLogger(__name__)

# Held by the one task of this process that expands: all other threads are left for what people wait for.
_expanding = threading.Lock()


@shared_task(name="scheduling.tick")
def tick() -> None:
    """Beat's every second: what is due gets its run, and somebody expands what nobody is at work on."""
    now = timezone.now()
    zone_update.recompute_waiting(now=now)
    runs.start_due(now=now, max_lateness=timedelta(seconds=settings.SCHEDULE_MAX_LATENESS))
    if expansion.unfinished(now=now):
        notifier.publish(expand.name)
    schedules.finish_cancels(clock=timezone.now)


@shared_task(name="scheduling.expand")
def expand() -> None:
    """Everything that is due, one thread a process: whoever finds it taken leaves it to the others, or to the next tick."""
    if not _expanding.acquire(blocking=False):
        return
    try:
        expansion.expand_all(after_chunk=notifier.notify_queue, stopping=lambda: dispatcher.is_stopping)
    finally:
        _expanding.release()


@shared_task(name="scheduling.retain")
def retain() -> None:
    retention.take(now=timezone.now(), chunks=100)


@shared_task(name="scheduling.check_zone_data")
def check_zone_data() -> None:
    """Beat's every day."""
    if warning := zone_data.warning(timezone.now().date()):
        logger.warning(warning)
