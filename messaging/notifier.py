"""Ringing for the workers. A ring may be lost: the tick finds the same message a second later."""

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
# Long enough that a storm is one ring, short enough that a ring that was lost with the broker is soon repeated.
COALESCE_SECONDS = 2
# So long a look at the callbacks waits before it begins: what happens within a moment is told together, for a look costs about
# the same for one event as for fifty.
GATHER_SECONDS = 0.1


def _key(queue_name: str) -> str:
    return f"doorbell:{queue_name}"


def notify_queue(queue_name: str) -> None:
    """Ask for a drain, unless one is asked for and has not begun. Call it after the commit; never raises."""
    _notify(queue_name, DISPATCH_TASK, [queue_name])


def notify_webhooks() -> None:
    """The same for the clients' callbacks: something has happened that they may want to hear of.

    Whoever was asked a moment ago is still gathering, and finds this too: then nobody has to be asked, not even Redis.
    """
    now = time.monotonic()
    if now >= _gathering.until and _notify(CALLBACKS, DELIVER_TASK, []):
        _gathering.until = now + GATHER_SECONDS / 2


class _Gathering:
    """Until when a look that this process has asked for cannot have begun."""

    until = 0.0


_gathering = _Gathering()


def gather() -> None:
    """A look at the callbacks begins here, before it answers the bell."""
    threading.Event().wait(GATHER_SECONDS)


def notify_inbound() -> None:
    """The same for texts that came in."""
    _notify(INBOUND, INBOUND_TASK, [])


def notify_inbound_media() -> None:
    """The same for files that are to be fetched."""
    _notify(INBOUND_MEDIA, INBOUND_MEDIA_TASK, [])


def publish(task: str, args: Sequence[Any] = (), **options: Any) -> bool:
    """Ask the workers for a task. True if the broker has it; never raises, and does not try again."""
    try:
        with redis_client.exchange():
            _send(task, list(args), options)
    except redis_client.RedisUnavailable:  # logged once, when it was noticed
        return False
    except (RedisError, OperationalError, OSError) as error:
        logger.warning("queue notification failed (%s); the next tick will pick the messages up", type(error).__name__)
        return False
    return True


def _send(task: str, args: list[Any], options: dict[str, Any]) -> None:
    """Raises the error of Redis, which kombu puts into one of its own."""
    try:
        current_app.send_task(task, args=args, **options)
    except OperationalError as error:
        raise error.__cause__ or error from None


def _notify(name: str, task: str, args: list[str]) -> bool:
    """Whether it was this ring that asked."""
    return cache.add(_key(name), 1, COALESCE_SECONDS) and publish(task, args)


def acknowledge(queue_name: str) -> None:
    """A drain begins: whoever stores a message from now on rings again."""
    cache.delete(_key(queue_name))
