"""Celery's side: short tasks that are safe to lose and safe to repeat. No retry, no eta: times live in the database."""

import logging
import time
from datetime import timedelta

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from redis.exceptions import RedisError

from messaging import doorbell
from messaging.services import pacing, receipts, recovery
from messaging.services.dispatch import Dispatcher

logger = logging.getLogger(__name__)

HEARTBEAT_KEY = "heartbeat:tick"

dispatcher = Dispatcher(
    concurrency=settings.DISPATCH_CONCURRENCY, lease=timedelta(seconds=settings.CLAIM_LEASE_SECONDS)
)


@worker_shutting_down.connect
def stop_claiming(**_: object) -> None:
    dispatcher.stop()


@shared_task(name="messaging.drain")
def drain(queue_name: str) -> None:
    doorbell.answered(queue_name)
    if queue_name in pacing.queues_to_drain():
        dispatcher.drain(queue_name)


@shared_task(name="messaging.drain_tick")
def drain_tick(queue_name: str) -> None:
    """One tick of a paced queue, if nobody else has taken it."""
    now = timezone.now()
    size = pacing.take_tick(queue_name=queue_name, now=now)
    if size:
        dispatcher.send_batch(queue_name, size=size, created_by=now)


@shared_task(name="messaging.tick")
def tick() -> None:
    """Beat's every second: what is due becomes ready, and every queue with something ready is rung for."""
    now = timezone.now()
    recovery.release_due(now=now)
    for queue_name in pacing.queues_to_drain():
        doorbell.ring(queue_name)
    try:
        cache.set(HEARTBEAT_KEY, time.time(), None)
    except RedisError:
        logger.warning("the cache is away; no heartbeat")


@shared_task(name="messaging.recover")
def recover() -> None:
    now = timezone.now()
    recovery.return_expired_claims(now=now)
    recovery.expire(now=now)
    receipts.sweep_parked(now=now)


@shared_task(name="messaging.purge")
def purge() -> None:
    recovery.purge(now=timezone.now())
