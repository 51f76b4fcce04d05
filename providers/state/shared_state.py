"""Redis state shared by all processes: account health, circuit breakers and rate limits.

Nothing here is needed to send. While Redis is unavailable every question has a harmless answer, and sending goes on by the
configured weights.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import redis

from providers.state import redis_client

logger = logging.getLogger(__name__)

T = TypeVar("T")


def ask(act: Callable[[redis.Redis], T], *, otherwise: T) -> T:
    """What `act` finds or does in Redis, or `otherwise` while Redis is unavailable. Never raises for that."""
    try:
        with redis_client.exchange() as client:
            return act(client)
    except redis_client.UNREACHABLE:
        return otherwise
    except redis.RedisError as error:
        logger.warning("Redis refused a command (%s)", type(error).__name__)
        return otherwise


def key(slug: str, *parts: object) -> str:
    return ":".join(("switchboard", "provider", slug, *map(str, parts)))
