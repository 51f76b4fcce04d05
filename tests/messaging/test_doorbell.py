"""The doorbell: a storm is one ring, and a broker that is away stops nobody."""

import logging

import pytest
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from messaging import doorbell


def test_a_storm_is_one_ring(broker) -> None:
    for _ in range(100):
        doorbell.ring("express")

    assert broker.rings == ["express"]


def test_every_queue_has_its_own_bell(broker) -> None:
    doorbell.ring("express")
    doorbell.ring("bulk")

    assert broker.rings == ["express", "bulk"]


def test_once_it_is_answered_it_rings_again(broker) -> None:
    doorbell.ring("express")

    doorbell.answered("express")
    doorbell.ring("express")

    assert broker.rings == ["express", "express"]


def test_answering_one_queue_leaves_the_others_coalesced(broker) -> None:
    doorbell.ring("express")
    doorbell.ring("bulk")

    doorbell.answered("bulk")
    doorbell.ring("express")

    assert broker.rings == ["express", "bulk"]


def test_a_ring_that_is_never_answered_silences_the_bell_for_two_seconds_only() -> None:
    doorbell.ring("express")

    key = cache.make_key("doorbell:express")
    client = cache._cache.get_client(key)
    assert 0 < client.pttl(key) <= 2000


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionRefusedError(), RedisConnectionError("gone")])
def test_a_broker_that_is_away_raises_nothing(broker, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broker.error = error

    doorbell.ring("express")

    assert broker.rings == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_cache_that_is_away_raises_nothing(broker, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise RedisConnectionError("gone")

    monkeypatch.setattr("messaging.doorbell.cache.add", away)
    monkeypatch.setattr("messaging.doorbell.cache.delete", away)

    doorbell.ring("express")
    doorbell.answered("express")

    assert broker.rings == []


def test_while_a_look_at_the_callbacks_gathers_nobody_is_asked_for_another(broker, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("messaging.doorbell.time.monotonic", lambda: now[0])
    doorbell.ring_for_callbacks()
    cache.clear()  # as if it were answered: this process knows that it cannot be

    now[0] += doorbell.GATHER_SECONDS / 3
    doorbell.ring_for_callbacks()
    assert broker.rings_for_callbacks == 1

    now[0] += doorbell.GATHER_SECONDS / 3
    doorbell.ring_for_callbacks()
    assert broker.rings_for_callbacks == 2


def test_a_ring_that_somebody_else_made_says_nothing_about_the_next_one(broker) -> None:
    cache.set("doorbell:/callbacks", 1)
    doorbell.ring_for_callbacks()
    doorbell.answered(doorbell.CALLBACKS)

    doorbell.ring_for_callbacks()

    assert broker.rings_for_callbacks == 1
