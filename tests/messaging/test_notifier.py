"""The doorbell: a storm is one ring, and a broker that is away stops nobody."""

import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from messaging import notifier
from providers.state import redis_client


def test_a_storm_is_one_ring(broker) -> None:
    for _ in range(100):
        notifier.notify_queue("express")

    assert broker.rings == ["express"]


def test_every_queue_has_its_own_bell(broker) -> None:
    notifier.notify_queue("express")
    notifier.notify_queue("bulk")

    assert broker.rings == ["express", "bulk"]


def test_once_it_is_answered_it_rings_again(broker) -> None:
    notifier.notify_queue("express")

    notifier.acknowledge("express")
    notifier.notify_queue("express")

    assert broker.rings == ["express", "express"]


def test_answering_one_queue_leaves_the_others_coalesced(broker) -> None:
    notifier.notify_queue("express")
    notifier.notify_queue("bulk")

    notifier.acknowledge("bulk")
    notifier.notify_queue("express")

    assert broker.rings == ["express", "bulk"]


def test_a_ring_that_is_never_answered_silences_the_bell_for_two_seconds_only() -> None:
    notifier.notify_queue("express")

    assert 0 < redis_client.client().pttl(cache.make_key("doorbell:express")) <= 2000


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionRefusedError(), RedisConnectionError("gone")])
def test_a_broker_that_is_away_raises_nothing(
    broker, use_redis, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    use_redis(settings.REDIS_URL)  # which the error marks as unavailable
    broker.error = error

    notifier.notify_queue("express")

    assert broker.rings == []
    assert "queue notification failed" in caplog.text


def test_a_broker_that_refuses_is_not_taken_for_one_that_is_away(broker, caplog) -> None:
    broker.error = OperationalError("OOM command not allowed")
    broker.error.__cause__ = ResponseError("OOM command not allowed")

    notifier.notify_queue("express")

    assert caplog.messages == ["queue notification failed (ResponseError); the next tick will pick the messages up"]
    assert redis_client.is_available()


def test_while_redis_is_away_the_broker_is_not_asked(broker, no_redis, caplog) -> None:
    for _ in range(3):
        notifier.notify_queue("express")
        notifier.acknowledge("express")

    assert broker.rings == []
    assert [record.name for record in caplog.records] == ["providers.state.redis_client"]


def test_while_a_look_at_the_callbacks_gathers_nobody_is_asked_for_another(broker, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("messaging.notifier.time.monotonic", lambda: now[0])
    notifier.notify_webhooks()
    cache.clear()  # as if it were answered: this process knows that it cannot be

    now[0] += notifier.GATHER_SECONDS / 3
    notifier.notify_webhooks()
    assert broker.rings_for_callbacks == 1

    now[0] += notifier.GATHER_SECONDS / 3
    notifier.notify_webhooks()
    assert broker.rings_for_callbacks == 2


def test_a_ring_that_somebody_else_made_says_nothing_about_the_next_one(broker) -> None:
    cache.set("doorbell:/callbacks", 1)
    notifier.notify_webhooks()
    notifier.acknowledge(notifier.CALLBACKS)

    notifier.notify_webhooks()

    assert broker.rings_for_callbacks == 1
