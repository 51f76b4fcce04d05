"""Celery tasks of the media store."""

from celery import shared_task
from django.utils import timezone

from media_store import services


@shared_task(name="media_store.sweep")
def sweep() -> None:
    services.sweep(now=timezone.now())
