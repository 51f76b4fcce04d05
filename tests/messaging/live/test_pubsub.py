"""The word that wakes those who follow live."""

import logging

import pytest
from redis import Redis

from messaging import tasks
from messaging.live import pubsub
from tests.plugin import ENVIRONMENT


def test_the_owners_are_told_to_whoever_listens() -> None:
    with Redis.from_url(ENVIRONMENT.redis_url) as redis, redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(pubsub.CHANNEL)
        channel.get_message(timeout=5)

        pubsub.publish({12, 3})

        assert pubsub.owners_of(channel.get_message(timeout=5)["data"]) == {3, 12}


@pytest.mark.parametrize("word", [b"", b"end 0191", b"x,y", b"-1"])
def test_a_word_of_somebody_else_is_about_nobody(word: bytes) -> None:
    assert pubsub.owners_of(word) == set()


def test_a_redis_that_is_away_stops_nobody(no_redis, caplog) -> None:
    with caplog.at_level(logging.WARNING, "messaging.live.pubsub"):
        pubsub.publish({1})
        pubsub.publish({1})

    logged = [record.getMessage() for record in caplog.records if record.name == "messaging.live.pubsub"]
    assert logged == ["nobody was woken (ConnectionError); live streams look by themselves"]


def test_the_workers_say_it_when_they_number() -> None:
    assert tasks.deliverer._after_numbering is pubsub.publish
