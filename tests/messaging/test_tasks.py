"""The Celery tasks are a few lines each, and no time is only in the broker."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.signals import task_failure
from django.conf import settings
from django.db import DataError
from django.utils import timezone

from messaging import notifier, tasks
from messaging.models import HoursRevision, Message
from messaging.services.outbound.dispatch import result_cache
from messaging.services.outbound.dispatch.result_cache import CachedResult
from messaging.services.outbound.dispatch.worker_slots import SLOT_SECONDS, SlotPool
from messaging.services.reporting import heartbeats
from tests.database_faults import passing_faults
from tests.factories import AttemptFactory, MessageFactory, QueueFactory
from tests.messaging.services.outbound.dispatch.fakes import Carrier, InlineExecutor

pytestmark = pytest.mark.django_db
ROOT = Path(settings.BASE_DIR)


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch, account) -> Carrier:
    """Replaces all providers; nothing runs in another thread."""
    carrier = Carrier()
    monkeypatch.setattr(tasks.dispatcher, "_send", carrier)
    monkeypatch.setattr(tasks.dispatcher, "_executor_factory", InlineExecutor)
    monkeypatch.setattr(tasks.dispatcher, "_runners", {})
    return carrier


def fresh(**values) -> Message:
    return MessageFactory(expires_at=timezone.now() + timedelta(hours=1), **values)


def test_a_run_sends_the_ready_messages(carrier) -> None:
    fresh(text="a")
    fresh(text="b")

    tasks.dispatch("express")

    assert carrier.texts == ["a", "b"]


def test_a_run_acknowledges_the_notification_first(carrier, broker) -> None:
    fresh()
    notifier.notify_queue("express")
    carrier.before_response = lambda _call: notifier.notify_queue("express")

    tasks.dispatch("express")

    assert broker.notified == ["express", "express"]


def test_a_second_run_makes_no_query_and_the_first_one_sends_the_new_message(
    carrier, django_assert_num_queries
) -> None:
    fresh(text="first")

    def second_run(call) -> None:
        if call.message.text == "first":
            fresh(text="second")
            with django_assert_num_queries(0):
                tasks.dispatch("express")

    carrier.before_response = second_run

    tasks.dispatch("express")

    assert carrier.texts == ["first", "second"]


class TestSlots:
    """Bulk queues use some of a worker's threads, never all of them."""

    @pytest.fixture(autouse=True)
    def slots(self, monkeypatch: pytest.MonkeyPatch) -> SlotPool:
        self.now = 0.0
        slots = SlotPool(1, clock=lambda: self.now)
        monkeypatch.setattr(tasks, "slots", slots)
        return slots

    def test_other_queues_share_half_of_the_threads(self, slots) -> None:
        counts = []
        for limit in (8, 1, None, 20):
            tasks.share_threads(sender=SimpleNamespace(pool=SimpleNamespace(limit=limit)))
            counts.append(slots.count)

        assert counts == [4, 1, 1, 10]

    def test_a_queue_without_a_slot_sends_nothing_and_is_notified_when_one_is_free(self, carrier, broker) -> None:
        fresh(text="a", queue=QueueFactory(name="first"))
        fresh(text="b", queue=QueueFactory(name="second"))

        def run_other_queue(call) -> None:
            tasks.dispatch("second")
            assert broker.notified == []

        carrier.before_response = run_other_queue
        tasks.dispatch("first")

        assert carrier.texts == ["a"]
        assert broker.notified == ["second"]
        assert Message.objects.get(text="b").status == "queued"
        carrier.before_response = lambda _call: None
        tasks.dispatch("second")
        assert carrier.texts == ["a", "b"]
        assert broker.notified == ["second"]

    def test_the_default_queue_needs_no_slot(self, carrier) -> None:
        fresh(text="bulk", queue=QueueFactory(name="bulk"))
        fresh(text="express")

        def meanwhile(call) -> None:
            if call.message.text == "bulk":
                tasks.dispatch("express")

        carrier.before_response = meanwhile
        tasks.dispatch("bulk")

        assert sorted(carrier.texts) == ["bulk", "express"]
        assert set(Message.objects.values_list("status", flat=True)) == {"sent"}

    def test_a_long_run_releases_its_slot_and_is_continued_later(self, carrier, broker, monkeypatch) -> None:
        monkeypatch.setattr(tasks.dispatcher, "concurrency", 2)
        bulk, other = QueueFactory(name="bulk"), QueueFactory(name="other")
        for n in range(6):
            fresh(text=str(n), queue=bulk)
        fresh(text="other", queue=other)

        def meanwhile(call) -> None:
            if call.message.text == "0":
                tasks.dispatch("other")
                tasks.dispatch("bulk")  # a notification for more messages
                self.now = SLOT_SECONDS

        carrier.before_response = meanwhile
        tasks.dispatch("bulk")

        assert carrier.texts == ["0", "1"]
        assert broker.notified == ["other"]
        tasks.dispatch("other")
        assert broker.notified == ["other", "bulk"]
        tasks.dispatch("bulk")
        assert carrier.texts == ["0", "1", "other", "2", "3", "4", "5"]
        assert set(Message.objects.values_list("status", flat=True)) == {"sent"}

    def test_a_run_that_fails_releases_its_slot(self, carrier, monkeypatch) -> None:
        fresh(text="a", queue=QueueFactory(name="first"))
        fresh(text="b", queue=QueueFactory(name="second"))

        def unavailable(*_args: object, **_more: object) -> None:
            raise DataError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(tasks.dispatcher, "run", unavailable)
            with pytest.raises(DataError):
                tasks.dispatch("first")
        tasks.dispatch("second")

        assert carrier.texts == ["b"]


@pytest.mark.parametrize(
    "queue", [{"is_paused": True}, {"batch_size": 2, "interval_seconds": 120}], ids=["paused", "paced"]
)
def test_a_run_of_a_paused_or_paced_queue_sends_nothing(carrier, queue) -> None:
    fresh(queue=QueueFactory(name="other", **queue))

    tasks.dispatch("other")

    assert carrier.calls == []


def test_a_tick_of_a_paced_queue_sends_one_batch(carrier) -> None:
    queue = QueueFactory(paced=True)
    for text in "abc":
        fresh(text=text, queue=queue, created_at=timezone.now())

    for _ in range(3):
        tasks.paced_tick("paced")

    assert carrier.texts == ["a", "b"]


def test_a_tick_releases_due_messages_notifies_their_queue_and_writes_its_heartbeat(carrier, broker) -> None:
    fresh(status="scheduled", next_attempt_at=timezone.now())
    fresh(queue=QueueFactory(name="held", is_paused=True))
    fresh(queue=QueueFactory(paced=True))

    tasks.tick()

    assert broker.notified == ["express"]
    assert carrier.calls == []
    assert heartbeats.seconds_since_tick() < 5


def test_a_tick_judges_held_messages_anew_when_a_rule_has_changed(carrier, broker) -> None:
    MessageFactory(error_code="outside_hours", next_attempt_at=timezone.now() + timedelta(hours=8))
    HoursRevision.objects.create(changed_at=timezone.now() - timedelta(seconds=6))

    tasks.tick()

    message = Message.objects.get()
    assert (message.next_attempt_at, message.error_detail) == (None, "It was held, and may be sent now.")
    assert broker.notified == ["express"]


def test_a_sweep_returns_lost_claims_and_fails_expired_messages() -> None:
    lost = fresh(sending=True, lease_until=timezone.now() - timedelta(seconds=1))
    late = MessageFactory(expires_at=timezone.now() - timedelta(seconds=1))

    tasks.recover()

    lost.refresh_from_db()
    late.refresh_from_db()
    assert (lost.status, late.status) == ("queued", "failed")


def test_a_failing_sweep_step_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    executed = []

    def failing(name: str) -> Callable[..., None]:
        def step(**_: object) -> None:
            executed.append(name)
            raise DataError("value too long: +14155550101")

        step.__name__ = name
        return step

    steps = [
        (tasks.recovery, "return_expired_claims"),
        (tasks.recovery, "expire"),
        (tasks.receipts, "sweep_parked"),
        (tasks.rollups, "compact"),
    ]
    for owner, name in steps:
        monkeypatch.setattr(owner, name, failing(name))

    tasks.recover()

    assert executed == [name for _, name in steps]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"sweep step {name} failed (DataError); the next sweep repeats it") for name in executed
    ]


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
def test_a_claim_whose_result_may_be_cached_waits_while_the_database_is_unavailable(monkeypatch, fault) -> None:
    past = timezone.now() - timedelta(seconds=1)
    attempt = AttemptFactory(open=True, message__lease_until=past)
    result_cache.put({attempt.pk: CachedResult("p1", past, 7)})
    late = MessageFactory(expires_at=past)

    def unavailable(*_: object, **_more: object) -> None:
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr("messaging.services.outbound.dispatch.lost_results.settle", unavailable)
        tasks.recover()

    attempt.message.refresh_from_db()
    late.refresh_from_db()
    assert (attempt.message.status, late.status) == ("sending", "failed")
    tasks.recover()
    attempt.message.refresh_from_db()
    assert attempt.message.status == "sent"


def test_after_a_passing_database_fault_the_connection_is_dropped(monkeypatch) -> None:
    dropped = []
    monkeypatch.setattr(tasks, "drop_connection", lambda: dropped.append(1))

    for fault in (*passing_faults(), DataError("too long"), ValueError("odd")):
        task_failure.send(sender=tasks.tick, exception=fault)

    assert len(dropped) == len(passing_faults())


def test_beat_sends_only_tasks_that_exist() -> None:
    tasks.recover.app.loader.import_default_modules()
    known = set(tasks.recover.app.tasks)

    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= known
    assert {notifier.DISPATCH_TASK, "messaging.paced_tick"} <= known


def test_celery_holds_neither_times_nor_retries() -> None:
    forbidden = re.compile(r"\b(countdown|autoretry_for|self\.retry|eta)\s*[=(]")
    files = [file for app in ("config", "messaging", "providers", "scheduling") for file in (ROOT / app).rglob("*.py")]

    assert len(files) > 50
    assert not [file.name for file in files if forbidden.search(file.read_text())]
    # Beat's scheduler calls its own method of that name.
    assert {file.name for file in files if re.search(r"\bapply_async\(", file.read_text())} == {"beat.py"}


def test_only_one_function_writes_a_status() -> None:
    """All other code calls `transitions`: it never updates, assigns or saves a message's status itself."""
    writes = re.compile(r"\bmessage\.status\s*=[^=]|Message\.objects\.[^\n]*\.update\([^)]*\bstatus=")
    files = [file for app in ("messaging", "scheduling") for file in (ROOT / app).rglob("*.py")]

    assert {file.name for file in files if writes.search(file.read_text())} == {"transitions.py"}


def test_events_during_the_gathering_of_a_delivery_run_belong_to_that_run(broker, monkeypatch) -> None:
    monkeypatch.setattr(notifier, "GATHER_SECONDS", 0)
    monkeypatch.setattr(notifier, "gather", notifier.notify_webhooks)
    monkeypatch.setattr(tasks.deliverer, "run", lambda: 0)
    notifier.notify_webhooks()

    tasks.deliver()

    assert broker.webhook_notifications == 1
    notifier.notify_webhooks()
    assert broker.webhook_notifications == 2
