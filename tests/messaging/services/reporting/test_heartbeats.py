"""Heartbeats of beat and workers in Redis."""

import os
import re

import pytest

from messaging.services.reporting import heartbeats
from providers.state import redis_client


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list that holds the current time."""
    time = [1_000_000.0]
    monkeypatch.setattr(heartbeats.time, "time", lambda: time[0])
    return time


def names() -> list[str]:
    return [worker.name for worker in heartbeats.workers()]


def test_before_the_first_heartbeat_there_is_nothing() -> None:
    assert heartbeats.seconds_since_tick() is None
    assert heartbeats.workers() == []


def test_the_age_of_the_last_tick(clock) -> None:
    heartbeats.tick()

    clock[0] += 7

    assert heartbeats.seconds_since_tick() == 7.0


def test_workers_are_listed_by_name_with_the_age_of_their_heartbeat(clock) -> None:
    heartbeats.record_worker("host2:7")
    clock[0] += 4
    heartbeats.record_worker("host1:9")
    clock[0] += 1

    assert heartbeats.workers() == [heartbeats.Worker("host1:9", 1.0), heartbeats.Worker("host2:7", 5.0)]


def test_a_silent_worker_is_removed(clock) -> None:
    heartbeats.record_worker("dead:1")
    clock[0] += 20
    heartbeats.record_worker("alive:1")
    clock[0] += 11

    assert names() == ["alive:1"]
    heartbeats.record_worker("alive:1")
    assert redis_client.client().zcard(heartbeats.WORKERS_KEY) == 1


def test_a_worker_that_stops_is_removed_at_once() -> None:
    heartbeats.record_worker("host:1")
    heartbeats.record_worker("host:2")

    heartbeats.remove_worker("host:1")

    assert names() == ["host:2"]


def test_the_key_expires() -> None:
    heartbeats.record_worker("host:1")

    assert 0 < redis_client.client().ttl(heartbeats.WORKERS_KEY) <= 30


def test_a_worker_is_named_by_host_and_process() -> None:
    assert re.fullmatch(rf".+:{os.getpid()}", heartbeats.this_worker())
