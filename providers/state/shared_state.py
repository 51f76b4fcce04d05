"""Redis state shared by all processes: account health, circuit breakers and rate limits.

Sending does not depend on it: while Redis is unavailable, every read returns a harmless default, and routing uses the
configured weights.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import redis

from providers.state import redis_client

logger = logging.getLogger(__name__)

T = TypeVar("T")


def ask(command: Callable[[redis.Redis], T], *, otherwise: T) -> T:
    """The result of `command`, or `otherwise` when Redis is unavailable or refuses a command. Raises no error of Redis."""
    try:
        with redis_client.exchange() as client:
            return command(client)
    except redis_client.UNREACHABLE:
        return otherwise
    except redis.RedisError as error:
        logger.warning("Redis refused a command (%s)", type(error).__name__)
        return otherwise


def key(slug: str, *parts: object) -> str:
    return ":".join(("switchboard", "provider", slug, *map(str, parts)))
