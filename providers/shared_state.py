"""What all processes know of the accounts together: health, circuits, limits. It lies in Redis.

Nothing here is needed to send. While Redis is away every question has a harmless answer, the log says so once, and
sending goes on by the configured weights.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import redis
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Short, because a batch of messages waits for the answer. After a failure nobody asks for a while: an address that
# swallows connections would otherwise cost the time-out for each batch.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 0.5, 1.0
ASK_AGAIN_AFTER = 2.0


class _Link:
    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._client: redis.Redis | None = None
        self._is_away = False
        self._ask_again_at = 0.0

    def ask(self, act: Callable[[redis.Redis], T], otherwise: T) -> T:
        if self._is_away and time.monotonic() < self._ask_again_at:
            return otherwise
        try:
            answer = act(self._connected())
        except (RedisError, OSError) as error:
            self._note_away(error)
            return otherwise
        if self._is_away:
            self._note_back()
        return answer

    def _connected(self) -> redis.Redis:
        with self._guard:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    settings.REDIS_URL,
                    decode_responses=True,
                    socket_connect_timeout=CONNECT_TIMEOUT,
                    socket_timeout=ANSWER_TIMEOUT,
                )
            return self._client

    def _note_away(self, error: Exception) -> None:
        with self._guard:
            was_away, self._is_away = self._is_away, True
            self._ask_again_at = time.monotonic() + ASK_AGAIN_AFTER
        if not was_away:
            logger.warning(
                "Redis is away (%s): routing by the configured weights, without circuits and limits",
                type(error).__name__,
            )

    def _note_back(self) -> None:
        with self._guard:
            was_away, self._is_away = self._is_away, False
        if was_away:
            logger.warning("Redis is back: routing by health, circuits and limits again")


_link = _Link()


def ask(act: Callable[[redis.Redis], T], *, otherwise: T) -> T:
    """What `act` finds or does in Redis, or `otherwise` while Redis is away. Never raises for that."""
    return _link.ask(act, otherwise)


def key(slug: str, *parts: object) -> str:
    return ":".join(("switchboard", "provider", slug, *map(str, parts)))
