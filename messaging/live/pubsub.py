"""The Redis channel that wakes live streams: published after events are numbered, received by processes with open streams.

A message may be lost: the hub also polls the database.
"""

import logging
from collections.abc import Collection

from redis.exceptions import RedisError

from providers.state import redis_client

logger = logging.getLogger(__name__)

CHANNEL = "switchboard:live"


def publish(owner_ids: Collection[int]) -> None:
    """Announce that these owners have new events, numbered and committed. Never raises."""
    try:
        with redis_client.exchange() as redis:
            redis.publish(CHANNEL, ",".join(map(str, sorted(owner_ids))))
    except redis_client.RedisUnavailable:
        return
    except (RedisError, OSError) as error:
        logger.warning("live streams not notified (%s); they will poll the database", type(error).__name__)


def owners_of(payload: bytes) -> set[int]:
    """The owners that a message on the channel names; empty for any other message."""
    return {int(part) for part in payload.split(b",") if part.isdigit()}
