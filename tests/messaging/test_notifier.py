"""A burst is merged into one notification, and an unavailable broker raises nothing."""

import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from messaging import notifier
from providers.state import redis_client


def test_a_burst_is_one_notification(broker) -> None:
    for _ in range(100):
        notifier.notify_queue("express")

    assert broker.notified == ["express"]


def test_every_queue_is_notified_on_its_own(broker) -> None:
    notifier.notify_queue("express")
    notifier.notify_queue("bulk")

    assert broker.notified == ["express", "bulk"]


def test_after_an_acknowledgement_the_queue_is_notified_again(broker) -> None:
    notifier.notify_queue("express")

    notifier.acknowledge("express")
    notifier.notify_queue("express")

    assert broker.notified == ["express", "express"]


def test_acknowledging_one_queue_leaves_the_others_coalesced(broker) -> None:
    notifier.notify_queue("express")
    notifier.notify_queue("bulk")

    notifier.acknowledge("bulk")
    notifier.notify_queue("express")

    assert broker.notified == ["express", "bulk"]


def test_a_notification_without_acknowledgement_suppresses_others_for_two_seconds_only() -> None:
    notifier.notify_queue("express")

    assert 0 < redis_client.client().pttl(cache.make_key("doorbell:express")) <= 2000


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionRefusedError(), RedisConnectionError("gone")])
def test_an_unavailable_broker_raises_nothing(
    broker, use_redis, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    use_redis(settings.REDIS_URL)  # which the error marks as unavailable
    broker.error = error

    notifier.notify_queue("express")

    assert broker.notified == []
    assert "queue notification failed" in caplog.text


def test_a_broker_that_refuses_a_command_is_not_taken_for_unavailable(broker, caplog) -> None:
    broker.error = OperationalError("OOM command not allowed")
    broker.error.__cause__ = ResponseError("OOM command not allowed")

    notifier.notify_queue("express")

    assert caplog.messages == ["queue notification failed (ResponseError); the next tick will pick the messages up"]
    assert redis_client.is_available()


def test_while_redis_is_unavailable_the_broker_is_not_called(broker, no_redis, caplog) -> None:
    for _ in range(3):
        notifier.notify_queue("express")
        notifier.acknowledge("express")

    assert broker.notified == []
    assert [record.name for record in caplog.records] == ["providers.state.redis_client"]


def test_while_a_delivery_run_gathers_no_other_is_requested(broker, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("messaging.notifier.time.monotonic", lambda: now[0])
    notifier.notify_webhooks()
    cache.clear()  # as after an acknowledgement, which this process knows to be impossible yet

    now[0] += notifier.GATHER_SECONDS / 3
    notifier.notify_webhooks()
    assert broker.webhook_notifications == 1

    now[0] += notifier.GATHER_SECONDS / 3
    notifier.notify_webhooks()
    assert broker.webhook_notifications == 2


def test_the_notification_of_another_process_does_not_suppress_the_next_one(broker) -> None:
    cache.set("doorbell:/callbacks", 1)
    notifier.notify_webhooks()
    notifier.acknowledge(notifier.CALLBACKS)

    notifier.notify_webhooks()

    assert broker.webhook_notifications == 1
