"""Notifies the workers. A notification may be lost: the tick finds the same work a second later."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from celery import current_app
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from providers.state import redis_client

logger = logging.getLogger(__name__)

DISPATCH_TASK = "messaging.dispatch"
DELIVER_TASK = "messaging.deliver"
# No queue can have these names: a queue's is a slug.
CALLBACKS, INBOUND, INBOUND_MEDIA = "/callbacks", "/inbound", "/inbound-media"
INBOUND_TASK, INBOUND_MEDIA_TASK = "messaging.process_inbound", "messaging.fetch_inbound_media"
# Long enough to merge a burst into one notification, short enough to repeat soon one that was lost with the broker.
COALESCE_SECONDS = 2
# How long a delivery run waits before it begins. Events of this time are delivered together: a run costs about the same for
# one event as for fifty.
GATHER_SECONDS = 0.1


def _key(queue_name: str) -> str:
    return f"doorbell:{queue_name}"


def notify_queue(queue_name: str) -> None:
    """Request a run of the queue, unless one is requested and has not begun. Call it after the commit; never raises."""
    _notify(queue_name, DISPATCH_TASK, [queue_name])


def notify_webhooks() -> None:
    """Request a delivery run, because there are new events. Like `notify_queue`, never raises.

    If a delivery run was requested within `GATHER_SECONDS`, it will see this event; skip the Redis call.
    """
    now = time.monotonic()
    if now >= _gathering.until and _notify(CALLBACKS, DELIVER_TASK, []):
        _gathering.until = now + GATHER_SECONDS / 2


class _Gathering:
    """Until this time, the delivery run that this process has requested cannot have begun."""

    until = 0.0


_gathering = _Gathering()


def gather() -> None:
    """Wait for further events. A delivery run calls it before it acknowledges its notification."""
    threading.Event().wait(GATHER_SECONDS)


def notify_inbound() -> None:
    """Request the processing of inbound messages. Like `notify_queue`, never raises."""
    _notify(INBOUND, INBOUND_TASK, [])


def notify_inbound_media() -> None:
    """Request the download of inbound media. Like `notify_queue`, never raises."""
    _notify(INBOUND_MEDIA, INBOUND_MEDIA_TASK, [])


def publish(
    task: str, args: Sequence[Any] = (), **options: Any
) -> bool:  # Any: a task's arguments, as Celery takes them
    """Send a task to the workers. Returns True if the broker has it; never raises and never retries."""
    try:
        with redis_client.exchange():
            _send(task, list(args), options)
    except redis_client.RedisUnavailable:  # logged when the outage began
        return False
    except (RedisError, OperationalError, OSError) as error:
        logger.warning("queue notification failed (%s); the next tick will pick the messages up", type(error).__name__)
        return False
    return True


def _send(task: str, args: list[Any], options: dict[str, Any]) -> None:
    """Raises the error of Redis itself, which kombu wraps in one of its own."""
    try:
        current_app.send_task(task, args=args, **options)
    except OperationalError as error:
        raise error.__cause__ or error from None


def _notify(name: str, task: str, args: list[str]) -> bool:
    """Return True if this call published the task, False if it was requested already or could not be published."""
    return cache.add(_key(name), 1, COALESCE_SECONDS) and publish(task, args)


def acknowledge(queue_name: str) -> None:
    """Call it when a run begins: a message stored from now on sends a new notification."""
    cache.delete(_key(queue_name))
