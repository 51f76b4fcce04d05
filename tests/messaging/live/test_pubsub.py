"""The Redis channel that wakes live streams."""

import logging

import pytest
from redis import Redis

from messaging import tasks
from messaging.live import pubsub
from tests.plugin import ENVIRONMENT


def test_published_owners_arrive_at_a_subscriber() -> None:
    with Redis.from_url(ENVIRONMENT.redis_url) as redis, redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(pubsub.CHANNEL)
        channel.get_message(timeout=5)

        pubsub.publish({12, 3})

        assert pubsub.owners_of(channel.get_message(timeout=5)["data"]) == {3, 12}


@pytest.mark.parametrize("payload", [b"", b"end 0191", b"x,y", b"-1"])
def test_any_other_payload_names_no_owner(payload: bytes) -> None:
    assert pubsub.owners_of(payload) == set()


def test_publishing_to_an_unavailable_redis_only_logs(no_redis, caplog) -> None:
    with caplog.at_level(logging.WARNING, "messaging.live.pubsub"):
        pubsub.publish({1})
        pubsub.publish({1})

    logged = [record.getMessage() for record in caplog.records if record.name == "messaging.live.pubsub"]
    assert logged == ["live streams not notified (ConnectionError); they will poll the database"]


def test_workers_publish_after_numbering_events() -> None:
    assert tasks.deliverer._after_numbering is pubsub.publish
