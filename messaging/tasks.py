"""Celery tasks, safe to lose and safe to repeat. They use neither retries nor ETAs: all times are in the database."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import task_failure, worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from messaging import notifier
from messaging.database_faults import drop_connection, may_pass
from messaging.inbound_limits import inbound_limits
from messaging.live import pubsub
from messaging.open_work import OpenWork
from messaging.services.alerts import notices, storm_digests
from messaging.services.costs import cost_totals
from messaging.services.gateway import deliveries, parts
from messaging.services.inbound import late_parts, media, process
from messaging.services.limits import pumping
from messaging.services.outbound import held, missing_receipts, pacing, receipts, reconciliation, recovery
from messaging.services.outbound.dispatch import Dispatcher, SlotPool
from messaging.services.privacy import retention
from messaging.services.recipients import opt_out_cases
from messaging.services.reporting import heartbeats, rollups
from messaging.services.twilio import replies
from messaging.services.verification import sweep as verifications
from messaging.services.webhooks import Deliverer, claim, event_log
from messaging.services.webhooks.settle import Result
from providers.http.public_addresses import Guard
from providers.http.public_http import PublicHttp

logger = logging.getLogger(__name__)


def _fetch(result: Result) -> Mapping[str, UUID]:
    """Store the files that an application's answers name."""
    try:
        return replies.fetch_media(result, now=timezone.now())
    finally:
        if not connection.in_atomic_block:  # as it is in a test
            connection.close()  # there are many of these threads, and they seldom need one


def _obey(results: Sequence[Result]) -> Mapping[UUID, str]:
    """Do what the answers of applications ask for, in the transaction that records the deliveries."""
    obeyed = replies.obey(
        results,
        default_queue=settings.DEFAULT_QUEUE,
        guard=Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS),
        now=timezone.now(),
    )
    if obeyed.stored:
        transaction.on_commit(partial(notifier.notify_queue, settings.DEFAULT_QUEUE))
    return obeyed.notes


dispatcher = Dispatcher(
    concurrency=settings.DISPATCH_CONCURRENCY,
    lease=timedelta(seconds=settings.CLAIM_LEASE_SECONDS),
    after_settling=notifier.notify_webhooks,
)
slots = SlotPool(1)  # until the worker is ready and its number of threads is known
deliverer = Deliverer(
    PublicHttp(Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS)),
    concurrency=settings.CALLBACK_CONCURRENCY,
    after_numbering=pubsub.publish,
    obey=_obey,
    fetch=_fetch,
)

# What a second may bring, by the task that does it. The tick itself makes due messages ready and notifies the queues.
_RELEASE, _HELD, _DISPATCH = "messaging.tick", "messaging.judge_anew", notifier.DISPATCH_TASK
open_work = OpenWork()
open_work.add(_RELEASE, recovery.due)
open_work.add(_HELD, lambda _now: held.judged_before(), lambda now: held.changed_policies(now=now))
open_work.add(_DISPATCH, lambda _now: pacing.with_ready_messages())
open_work.add(notifier.INBOUND_TASK, process.open_texts, late_parts.due)
open_work.add(notifier.INBOUND_MEDIA_TASK, media.due)
open_work.add("messaging.send_alert_digests", storm_digests.due)
open_work.add(notifier.DELIVER_TASK, lambda _now: event_log.unnumbered(), claim.due, claim.expired)
# Longer than a tick takes to be repeated; a task that waits longer has been requested again.
REQUEST_EXPIRES_SECONDS = 5


@worker_shutting_down.connect
def stop_claiming(**_: object) -> None:
    dispatcher.stop()
    deliverer.stop()


@task_failure.connect
def replace_connection(exception: Exception, **_: object) -> None:
    """Drop a connection after a database fault, so that the thread's next task opens a new one."""
    if may_pass(exception):
        drop_connection()


@worker_ready.connect
def share_threads(sender: Any, **_: object) -> None:  # Any: Celery's consumer, which has no types
    """Reserve half of the threads for the default queue and short tasks; other queues share the rest."""
    slots.count = max(1, (sender.pool.limit or 1) // 2)


@worker_ready.connect
def start_heartbeat(sender: Any, **_: object) -> None:  # Any: as above
    """Write the worker's heartbeat now and at intervals.

    `sender` is the consumer. It drops its timers when it loses the broker, and sends the signal again when it is back.
    """
    _write_heartbeat()
    sender.timer.call_repeatedly(heartbeats.WORKER_INTERVAL_SECONDS, _write_heartbeat)


def _write_heartbeat() -> None:
    try:
        heartbeats.record_worker(heartbeats.this_worker())
    except RedisError as error:
        logger.warning("heartbeat not written: Redis unavailable (%s)", type(error).__name__)


@worker_shutdown.connect
def remove_heartbeat(**_: object) -> None:
    with contextlib.suppress(RedisError):
        heartbeats.remove_worker(heartbeats.this_worker())


@shared_task(name="messaging.dispatch")
def dispatch(queue_name: str) -> None:
    notifier.acknowledge(queue_name)
    if dispatcher.wake(queue_name) or queue_name not in pacing.queues_to_dispatch():
        return
    if queue_name == settings.DEFAULT_QUEUE:
        dispatcher.run(queue_name)
    elif slot := slots.acquire(queue_name):
        try:
            dispatcher.run(queue_name, may_go_on=slot.may_go_on)
        finally:
            for following in slots.release(queue_name, slot):
                notifier.notify_queue(following)


@shared_task(name="messaging.deliver")
def deliver() -> None:
    """Number new events and make due callbacks. `notify_webhooks` requests it, and the tick if a request was lost."""
    notifier.gather()
    notifier.acknowledge(notifier.CALLBACKS)
    deliverer.run()


@shared_task(name="messaging.paced_tick")
def paced_tick(queue_name: str) -> None:
    """One tick of a paced queue, unless another worker has taken it."""
    now = timezone.now()
    size = pacing.take_tick(queue_name=queue_name, now=now)
    if size:
        dispatcher.send_batch(queue_name, size=size, created_until=now)


@shared_task(name="messaging.tick")
def tick() -> None:
    """Find what is waiting and request the tasks that do it; nothing else finds what a lost notification has left.

    Beat starts it every second. While nothing is waiting, it is the only task of that second, with one statement.
    """
    now = timezone.now()
    waiting = open_work.waiting(now=now)
    for task in sorted(waiting - {_RELEASE, _HELD, _DISPATCH}):
        notifier.publish(task, expires=REQUEST_EXPIRES_SECONDS)
    if _RELEASE in waiting:
        recovery.release_due(now=now)
    if _HELD in waiting:
        held.judge_anew(now=now)
    if waiting & {_RELEASE, _HELD, _DISPATCH}:
        for queue_name in pacing.queues_to_dispatch():
            notifier.notify_queue(queue_name)
    try:
        heartbeats.tick()
    except RedisError:
        logger.warning("tick heartbeat not written: Redis unavailable")


@shared_task(name="messaging.process_inbound")
def process_inbound() -> None:
    notifier.acknowledge(notifier.INBOUND)
    now = timezone.now()
    late_parts.store_due(limits=inbound_limits(), now=now)
    done = process.process(default_queue=settings.DEFAULT_QUEUE, now=now)
    if done:
        notifier.notify_queue(settings.DEFAULT_QUEUE)
        notifier.notify_webhooks()
    if done == process.CHUNK:  # there may be more
        notifier.notify_inbound()


@shared_task(name="messaging.fetch_inbound_media")
def fetch_inbound_media() -> None:
    """Fetch media of inbound messages. A task of its own: a slow file must not delay the processing of a STOP."""
    notifier.acknowledge(notifier.INBOUND_MEDIA)
    if media.fetch_due(clock=timezone.now):
        notifier.notify_inbound()


@shared_task(name="messaging.send_alert_digests")
def send_alert_digests() -> None:
    messages = storm_digests.send_due(default_queue=settings.DEFAULT_QUEUE, now=timezone.now())
    for queue_name in sorted({message.queue_id for message in messages if message.queue_id}):
        notifier.notify_queue(queue_name)


@shared_task(name="messaging.recover")
def recover() -> None:
    """Steps are isolated: one that keeps failing must not block the others."""
    now = timezone.now()
    _run_step(partial(recovery.return_expired_claims, now=now))
    _run_step(partial(recovery.expire, now=now))
    _run_step(partial(receipts.sweep_parked, now=now))
    _run_step(partial(missing_receipts.mark, now=now))
    _run_step(partial(verifications.expire, now=now))
    _run_step(partial(verifications.attribute, now=now))
    _run_step(rollups.compact)
    _run_step(cost_totals.compact)


def _run_step(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 (any fault: it is logged for an operator, and the other steps go on)
        name = (step.func if isinstance(step, partial) else step).__name__
        logger.error("sweep step %s failed (%s); the next sweep repeats it", name, type(error).__name__)
        if may_pass(error):
            drop_connection()


@shared_task(name="messaging.reconcile")
def reconcile() -> None:
    reconciliation.reconcile(clock=timezone.now)


@shared_task(name="messaging.watch_pumping")
def watch_pumping() -> None:
    pumping.watch(now=timezone.now(), hold=tuple(settings.PUMPING_HOLD))


@shared_task(name="messaging.retain")
def retain() -> None:
    retention.walk(now=timezone.now(), chunks=20)


@shared_task(name="messaging.purge")
def purge() -> None:
    now = timezone.now()
    recovery.purge(now=now)
    parts.purge(now=now)
    deliveries.purge(now=now)
    notices.purge(now=now)
    verifications.purge(now=now)
    opt_out_cases.forget(now=now)
    pumping.purge(now=now)
