"""This process's access to Redis. While Redis does not answer, each exchange fails at once instead of timing out."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from django.conf import settings
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

logger = logging.getLogger(__name__)

# Seconds. Short, because requests and batches of messages wait for the reply.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 0.5, 1.0
# Redis counts as unavailable after this many consecutive exchanges that took longer than this, or after one that took longer
# than ANSWER_TIMEOUT.
MAX_SLOW_EXCHANGES, SLOW_SECONDS = 3, 0.25
CHECK_INTERVAL = 2.0


class RedisUnavailable(RedisConnectionError):
    """Redis did not answer recently, and no command was sent to it."""


UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)
"""The errors of a broken, refused or overdue exchange; `RedisUnavailable` is one of them."""


class Availability:
    """Whether Redis answers. After a failure, a thread calls `ping` every `CHECK_INTERVAL` seconds until it succeeds."""

    def __init__(self, *, ping: Callable[[], None], on_loss: Callable[[], None]) -> None:
        self._ping = ping
        self._on_loss = on_loss
        self._lock = threading.Lock()
        self._is_unavailable = False
        self._checker: threading.Thread | None = None
        self._closing = threading.Event()
        self._slow_exchanges = 0
        self._last_slow_end = 0.0

    @property
    def is_available(self) -> bool:
        return not self._is_unavailable

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Raises one of `UNREACHABLE`. Only exchanges that began before the failure was noticed wait for a time-out."""
        if self._is_unavailable:
            self._keep_checking()
            raise RedisUnavailable("Redis did not answer recently")
        began = time.monotonic()
        try:
            yield
        except UNREACHABLE as error:
            self._note_loss(error)
            raise
        self._note_duration(began, time.monotonic())

    def close(self) -> None:
        self._closing.set()
        if self._checker is not None:
            self._checker.join()

    def _note_duration(self, began: float, ended: float) -> None:
        if ended - began < SLOW_SECONDS:
            self._slow_exchanges = 0
            return
        with self._lock:
            # Concurrent exchanges were slowed down by the same pause, which counts once.
            if began >= self._last_slow_end:
                self._slow_exchanges += 1
                self._last_slow_end = ended
            is_lost = self._slow_exchanges >= MAX_SLOW_EXCHANGES or ended - began >= ANSWER_TIMEOUT
        if is_lost:
            self._note_loss(RedisTimeoutError("slow answers"))

    def _note_loss(self, error: Exception) -> None:
        with self._lock:
            if self._is_unavailable:
                return
            self._is_unavailable = True
        self._on_loss()
        logger.warning(
            "Redis unavailable (%s): routing by the configured weights, without circuits and provider limits; "
            "API limits and failed log-ins are counted in this process",
            type(error).__name__,
        )
        self._keep_checking()

    def _keep_checking(self) -> None:
        """Start the checking thread if there is none, as in a process that was forked meanwhile."""
        if self._checker is not None and self._checker.is_alive():
            return
        with self._lock:
            if self._is_unavailable and (self._checker is None or not self._checker.is_alive()):
                self._checker = threading.Thread(target=self._check, name="redis-check", daemon=True)
                self._checker.start()

    def _check(self) -> None:
        while not self._closing.wait(CHECK_INTERVAL):
            if self._answers():
                with self._lock:
                    self._is_unavailable, self._slow_exchanges = False, 0
                logger.warning("Redis is available again")
                return

    def _answers(self) -> bool:
        began = time.monotonic()
        try:
            self._ping()
        except (redis.RedisError, OSError):
            return False
        return time.monotonic() - began < SLOW_SECONDS


class RedisAccess:
    """The client of this process. The address is read from the settings at the first exchange."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self.availability = Availability(ping=self._ping, on_loss=self._drop_connections)

    @contextmanager
    def exchange(self) -> Iterator[redis.Redis]:
        with self.availability.exchange():
            yield self.client()

    def close(self) -> None:
        self.availability.close()
        self._drop_connections()

    def client(self) -> redis.Redis:
        with self._lock:
            if self._client is None:
                self._client = _new_client()
            return self._client

    def _drop_connections(self) -> None:
        """Close all connections: each one to a host that is gone would cost a time-out, even when Redis is back elsewhere."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=False)

    @staticmethod
    def _ping() -> None:
        with _new_client() as client:
            client.ping()


def _new_client() -> redis.Redis:
    """Values that are not UTF-8 are read with replacement characters, so that no stored value makes a read fail."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        socket_keepalive=True,
    )


_access = RedisAccess()


@contextmanager
def exchange() -> Iterator[redis.Redis]:
    """A client for the commands of the block. Raises one of `UNREACHABLE`: at once while Redis is known not to answer."""
    with _access.exchange() as client:
        yield client


def client() -> redis.Redis:
    """For code that runs inside an exchange and cannot be handed the client."""
    return _access.client()


def is_available() -> bool:
    """False from the first exchange that Redis did not answer until it answers a check."""
    return _access.availability.is_available
