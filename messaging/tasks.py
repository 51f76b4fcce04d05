"""Celery's side: short tasks that are safe to lose and safe to repeat. No retry, no eta: times live in the database."""

import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from celery import shared_task
from celery.signals import task_failure, worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.utils import timezone
from redis.exceptions import RedisError

from messaging import notifier
from messaging.database_faults import drop_connection, may_pass
from messaging.live import pubsub
from messaging.services.inbound import media, process
from messaging.services.outbound import pacing, receipts, reconciliation, recovery
from messaging.services.outbound.dispatch import Dispatcher, SlotPool
from messaging.services.privacy import retention
from messaging.services.reporting import heartbeats, rollups
from messaging.services.webhooks import Deliverer
from providers.http.public_addresses import Guard
from providers.http.public_http import PublicHttp

logger = logging.getLogger(__name__)

dispatcher = Dispatcher(
    concurrency=settings.DISPATCH_CONCURRENCY,
    lease=timedelta(seconds=settings.CLAIM_LEASE_SECONDS),
    after_settling=notifier.notify_webhooks,
)
places = SlotPool(1)  # until the worker says how many threads it has
deliverer = Deliverer(
    PublicHttp(Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS)),
    concurrency=settings.CALLBACK_CONCURRENCY,
    after_numbering=pubsub.publish,
)


@worker_shutting_down.connect
def stop_claiming(**_: object) -> None:
    dispatcher.stop()
    deliverer.stop()


@task_failure.connect
def replace_connection(exception: Exception, **_: object) -> None:
    """The next task of this thread must not get the connection on which this one failed."""
    if may_pass(exception):
        drop_connection()


@worker_ready.connect
def share_threads(sender: Any, **_: object) -> None:
    """Half of the worker's threads are for queues; the others are for the default queue and for all that is short."""
    places.count = max(1, (sender.pool.limit or 1) // 2)


@worker_ready.connect
def show_life(sender: Any, **_: object) -> None:
    """`sender` is the consumer; it forgets its timers when it loses the broker, and is ready again afterwards."""
    _show_life()
    sender.timer.call_repeatedly(heartbeats.WORKER_INTERVAL_SECONDS, _show_life)


def _show_life() -> None:
    try:
        heartbeats.worker_lives(heartbeats.this_worker())
    except RedisError as error:
        logger.warning("no sign of life: the broker is away (%s)", type(error).__name__)


@worker_shutdown.connect
def take_leave(**_: object) -> None:
    with contextlib.suppress(RedisError):
        heartbeats.worker_leaves(heartbeats.this_worker())


@shared_task(name="messaging.dispatch")
def dispatch(queue_name: str) -> None:
    notifier.acknowledge(queue_name)
    if dispatcher.wake(queue_name) or queue_name not in pacing.queues_to_dispatch():
        return
    if queue_name == settings.DEFAULT_QUEUE:
        dispatcher.run(queue_name)
    elif places.take(queue_name):
        turn = places.turn()
        try:
            dispatcher.run(queue_name, may_go_on=turn.may_go_on)
        finally:
            for following in places.give_back(queue_name, turn):
                notifier.notify_queue(following)


@shared_task(name="messaging.deliver")
def deliver() -> None:
    """Beat's every second, and whenever somebody rings: new events are numbered, due callbacks made."""
    notifier.gather()
    notifier.acknowledge(notifier.CALLBACKS)
    deliverer.run()


@shared_task(name="messaging.paced_tick")
def paced_tick(queue_name: str) -> None:
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
    for queue_name in pacing.queues_to_dispatch():
        notifier.notify_queue(queue_name)
    if process.is_anything_open(now=now):
        notifier.notify_inbound()
    try:
        heartbeats.tick()
    except RedisError:
        logger.warning("the cache is away; no heartbeat")


@shared_task(name="messaging.process_inbound")
def process_inbound() -> None:
    notifier.acknowledge(notifier.INBOUND)
    done = process.process(default_queue=settings.DEFAULT_QUEUE, now=timezone.now())
    if done:
        notifier.notify_queue(settings.DEFAULT_QUEUE)
        notifier.notify_webhooks()
    if done == process.CHUNK:  # there may be more
        notifier.notify_inbound()


@shared_task(name="messaging.fetch_inbound_media")
def fetch_inbound_media() -> None:
    """Apart from the processing: a slow file must not keep anybody's STOP waiting."""
    notifier.acknowledge(notifier.INBOUND_MEDIA)
    if media.fetch_due(clock=timezone.now):
        notifier.notify_inbound()


@shared_task(name="messaging.recover")
def recover() -> None:
    """Steps are isolated: one that keeps failing must not block the others."""
    now = timezone.now()
    _take(partial(recovery.return_expired_claims, now=now))
    _take(partial(recovery.expire, now=now))
    _take(partial(receipts.sweep_parked, now=now))
    _take(rollups.compact)


def _take(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 (whatever it is, the other steps go on, and an operator reads of it)
        name = (step.func if isinstance(step, partial) else step).__name__
        logger.error("the sweep's step %s failed (%s); it is taken again at the next sweep", name, type(error).__name__)
        if may_pass(error):
            drop_connection()


@shared_task(name="messaging.reconcile")
def reconcile() -> None:
    reconciliation.reconcile(clock=timezone.now)


@shared_task(name="messaging.retain")
def retain() -> None:
    retention.walk(now=timezone.now(), chunks=20)


@shared_task(name="messaging.purge")
def purge() -> None:
    recovery.purge(now=timezone.now())
