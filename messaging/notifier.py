"""Notifies the workers. A notification may be lost: the tick finds the same work a second later.

A thread of the process talks to the broker, so that neither a request nor a worker's call waits for it. What is lost with the
process is found by the next tick.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from multiprocessing import util
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
# After each exchange with the broker; requests of this time are merged. When idle, a request is sent at once.
MERGE_SECONDS = 0.02
# How long a delivery run waits before it begins. Events of this time are delivered together: a run costs about the same for
# one event as for fifty.
GATHER_SECONDS = 0.1


def _key(queue_name: str) -> str:
    return f"doorbell:{queue_name}"


class _Sender:
    """Sends what was requested from a daemon thread, which starts at the first request, also in a forked process."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget what was requested. For a forked process, in which no other thread runs: its parent sends it."""
        self._lock = threading.Lock()
        self._requested: dict[str, tuple[str, list[str]]] = {}
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def request(self, name: str, task: str, args: list[str]) -> None:
        with self._lock:
            is_new = name not in self._requested
            self._requested[name] = task, args
            if self._thread is None or not self._thread.is_alive():
                self._start_thread()
        if is_new:
            self._work.set()

    def flush(self) -> None:
        """Send, in the caller's thread, what was requested and not yet sent."""
        with self._lock:
            requested, self._requested = self._requested, {}
        for name, (task, args) in requested.items():
            try:
                _send_request(name, task, args)
            except Exception as error:  # noqa: BLE001 (any fault: the others are to be sent, and the tick finds this one's work)
                logger.error("notification of %s failed (%s)", name, type(error).__name__)

    def _start_thread(self) -> None:
        if self._thread is None:
            util.Finalize(None, self.flush, exitpriority=0)  # unlike `atexit` also in processes of `multiprocessing`
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            self.flush()
            time.sleep(MERGE_SECONDS)


_sender = _Sender()
os.register_at_fork(after_in_child=_sender.start_anew)


def flush() -> None:
    """Send what this process has requested, and return when the broker has it or cannot be reached. Never raises."""
    _sender.flush()


def notify_queue(queue_name: str) -> None:
    """Request a run of the queue, unless one is requested and has not begun. Call it after the commit; never raises."""
    _sender.request(queue_name, DISPATCH_TASK, [queue_name])


def notify_webhooks() -> None:
    """Request a delivery run, because there are new events. Like `notify_queue`, never raises.

    If a delivery run was requested within `GATHER_SECONDS`, it will see this event; no other is requested.
    """
    if time.monotonic() >= _gathering.until:
        _sender.request(CALLBACKS, DELIVER_TASK, [])


class _Gathering:
    """Until this time, the delivery run that this process has requested cannot have begun."""

    until = 0.0


_gathering = _Gathering()


def gather() -> None:
    """Wait for further events. A delivery run calls it before it acknowledges its notification."""
    threading.Event().wait(GATHER_SECONDS)


def notify_inbound() -> None:
    """Request the processing of inbound messages. Like `notify_queue`, never raises."""
    _sender.request(INBOUND, INBOUND_TASK, [])


def notify_inbound_media() -> None:
    """Request the download of inbound media. Like `notify_queue`, never raises."""
    _sender.request(INBOUND_MEDIA, INBOUND_MEDIA_TASK, [])


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


def _send_request(name: str, task: str, args: list[str]) -> None:
    """Publish the task, unless it is published and has not begun."""
    now = time.monotonic()
    is_published = cache.add(_key(name), 1, COALESCE_SECONDS) and publish(task, args)
    if is_published and name == CALLBACKS:
        _gathering.until = now + GATHER_SECONDS / 2


def acknowledge(queue_name: str) -> None:
    """Call it when a run begins: a message stored from now on sends a new notification."""
    cache.delete(_key(queue_name))
