"""Waking those who follow live: a word by Redis from whoever numbers events to the processes that hold streams.

The word may be lost: the database is looked at every few seconds all the same.
"""

import logging
from collections.abc import Collection

from redis.exceptions import RedisError

from providers.state import redis_client

logger = logging.getLogger(__name__)

CHANNEL = "switchboard:live"


def publish(owner_ids: Collection[int]) -> None:
    """These owners have new events, numbered and committed. Never raises."""
    try:
        with redis_client.exchange() as redis:
            redis.publish(CHANNEL, ",".join(map(str, sorted(owner_ids))))
    except redis_client.RedisUnavailable:
        return
    except (RedisError, OSError) as error:
        logger.warning("nobody was woken (%s); live streams look by themselves", type(error).__name__)


def owners_of(word: bytes) -> set[int]:
    """Whom the word is about; nobody where it is none of ours."""
    return {int(part) for part in word.split(b",") if part.isdigit()}
