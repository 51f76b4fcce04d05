"""A burst is merged into one notification, and an unavailable broker raises nothing."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from messaging import notifier
from providers.state import redis_client

SECONDS = 20.0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


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


class TestTheThread:
    """Everything above is sent in the caller's thread; here it is the process's own."""

    @pytest.fixture
    def sender(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[notifier._Sender]:
        sender = notifier._Sender()
        monkeypatch.setattr(notifier, "_sender", sender)
        yield sender
        wait_until(lambda: not sender._requested)

    def test_sends_what_a_request_leaves(self, broker, sender) -> None:
        notifier.notify_queue("express")
        notifier.notify_inbound()

        wait_until(lambda: broker.notified and broker.inbound_notifications)
        assert broker.notified == ["express"]
        assert broker.inbound_notifications == ["messaging.process_inbound"]

    def test_the_caller_exchanges_nothing(self, broker, sender, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: list[str] = []
        monkeypatch.setattr(notifier, "_send_request", lambda *_: threads.append(threading.current_thread().name))

        notifier.notify_queue("express")

        wait_until(lambda: threads)
        assert threads == ["notifier"]

    def test_merges_what_comes_while_it_is_busy(self, sender, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, go_on, sent = threading.Event(), threading.Event(), []

        def send(name: str, _task: str, _args: list[str]) -> None:
            sent.append(name)
            begun.set()
            assert go_on.wait(SECONDS)

        monkeypatch.setattr(notifier, "_send_request", send)
        notifier.notify_queue("express")
        assert begun.wait(SECONDS)
        for _ in range(100):
            notifier.notify_queue("express")
            notifier.notify_queue("bulk")
        go_on.set()

        wait_until(lambda: len(sent) == 3)
        assert sent == ["express", "express", "bulk"]  # once more: the first may have been too early for the others

    def test_flush_sends_in_the_callers_thread(self, broker, sender, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sender, "_start_thread", lambda: None)
        notifier.notify_queue("express")
        assert broker.notified == []

        notifier.flush()

        assert broker.notified == ["express"]

    def test_a_thread_that_died_is_replaced(self, broker, sender) -> None:
        sender._thread = threading.Thread()
        sender._thread.start()
        sender._thread.join()

        notifier.notify_queue("express")

        wait_until(lambda: broker.notified)

    def test_a_forked_process_has_its_own(self, broker, sender) -> None:
        notifier.notify_queue("express")
        wait_until(lambda: broker.notified)

        sender.start_anew()  # as in the child
        notifier.acknowledge("express")
        notifier.notify_queue("express")

        wait_until(lambda: len(broker.notified) == 2)


@pytest.mark.parametrize("how", ["sys.exit()", "multiprocessing"])
def test_what_is_left_at_the_end_of_a_process_is_sent(how: str) -> None:
    script = f"""
import multiprocessing, sys
from messaging import notifier
notifier._send_request = lambda *given: print("sent", given[0], flush=True)
notifier._Sender._run = lambda self: None  # the process ends before its thread comes to it
def leave():
    notifier.notify_queue("express")
if {how!r} == "multiprocessing":
    child = multiprocessing.get_context("fork").Process(target=leave)
    child.start(); child.join()
else:
    leave()
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["sent express"]


def test_a_request_that_fails_unexpectedly_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[str] = []

    def send(name: str, _task: str, _args: list[str]) -> None:
        if name == "broken":
            raise KeyError(name)
        sent.append(name)

    monkeypatch.setattr(notifier, "_send_request", send)
    sender = notifier._Sender()
    monkeypatch.setattr(sender, "_start_thread", lambda: None)

    for name in ("broken", "express"):
        sender.request(name, notifier.DISPATCH_TASK, [name])
    sender.flush()

    assert sent == ["express"]
    assert "notification of broken failed (KeyError)" in caplog.text
