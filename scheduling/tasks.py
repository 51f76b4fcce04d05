"""Celery's side of schedules."""

from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from messaging import doorbell
from messaging.tasks import dispatcher
from scheduling.services import expansion, runs


@shared_task(name="scheduling.tick")
def tick() -> None:
    """Beat's every second: what is due gets its run, and runs that nobody is at work on are expanded."""
    now = timezone.now()
    runs.start_due(now=now, max_lateness=timedelta(seconds=settings.SCHEDULE_MAX_LATENESS))
    for run_id in expansion.unfinished(now=now):
        expand.delay(str(run_id))


@shared_task(name="scheduling.expand")
def expand(run_id: str) -> None:
    expansion.expand(UUID(run_id), after_chunk=doorbell.ring, stopping=lambda: dispatcher.is_stopping)
