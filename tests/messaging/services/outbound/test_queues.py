"""Creating and changing queues, their periodic tasks, and their depth."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from messaging.models import OutboundQueue
from messaging.services.errors import InvalidField
from messaging.services.outbound import queues
from messaging.states import Status
from tests.factories import MessageFactory, QueueFactory, UserFactory
from tests.messaging.parallel import at_once

# A value that a row may have from before there was a maximum.
BEYOND = {"batch_size": 100_001, "interval_seconds": 86_401}
pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def slow(**values) -> OutboundQueue:
    return queues.create(OutboundQueue(**{"name": "slow", "batch_size": 2, "interval_seconds": 120, **values}))


def queue_interval(queue: OutboundQueue) -> timedelta:
    return timedelta(seconds=queue.interval_seconds)


def beat_rows() -> list[tuple]:
    rows = PeriodicTask.objects.order_by("name")
    return [
        (row.name, row.task, row.args, row.interval.every, row.interval.period, row.enabled, row.expire_seconds)
        for row in rows
    ]


def row(every: int, *, enabled: bool = True) -> tuple:
    return ("queue slow", "messaging.paced_tick", '["slow"]', every, "seconds", enabled, every)


class TestBeat:
    def test_a_new_paced_queue_has_a_periodic_task(self) -> None:
        slow()

        assert beat_rows() == [row(120)]

    def test_a_queue_without_a_pace_has_none(self) -> None:
        queues.create(OutboundQueue(name="fast"))

        assert beat_rows() == []
        assert OutboundQueue.objects.get().name == "fast"

    def test_the_task_of_a_queue_created_paused_is_disabled(self) -> None:
        slow(is_paused=True)

        assert beat_rows() == [row(120, enabled=False)]

    def test_the_task_follows_every_change(self) -> None:
        slow()
        seen = []

        for changes in (
            {"batch_size": 5, "interval_seconds": 60},
            {"is_paused": True},
            {"interval_seconds": 30},
            {"is_paused": False},
            {"batch_size": None, "interval_seconds": None},
            {"batch_size": 1, "interval_seconds": 10},
        ):
            queues.change(name="slow", changes=changes)
            seen.append(beat_rows())

        assert seen == [[row(60)], [row(60, enabled=False)], [row(30, enabled=False)], [row(30)], [], [row(10)]]

    def test_two_queues_share_an_interval_and_nothing_else(self) -> None:
        slow()
        slow(name="slower")

        queues.change(name="slower", changes={"is_paused": True})

        assert [(name, enabled) for name, *_, enabled, _ in beat_rows()] == [
            ("queue slow", True),
            ("queue slower", False),
        ]
        assert IntervalSchedule.objects.count() == 1

    def test_a_task_edited_by_hand_is_corrected_by_the_next_change(self) -> None:
        slow()
        PeriodicTask.objects.update(enabled=False, task="x", args="[]")

        queues.change(name="slow", changes={"description": "x"})

        assert beat_rows() == [row(120)]

    def test_beat_resumes_its_schedule_after_a_pause(self, monkeypatch) -> None:
        queue = slow()
        ticked = queue.updated_at - 3.5 * queue_interval(queue)
        OutboundQueue.objects.update(last_tick_at=ticked)
        queues.change(name="slow", changes={"is_paused": True})
        assert PeriodicTask.objects.get(name="queue slow").last_run_at is None

        queues.change(name="slow", changes={"is_paused": False})

        assert PeriodicTask.objects.get(name="queue slow").last_run_at == ticked + 3 * queue_interval(queue)

    def test_beat_is_notified_of_changes_only(self) -> None:
        slow()
        notified_at = PeriodicTasks.last_change()

        queues.change(name="slow", changes={"batch_size": 7, "description": "only the size"})
        assert PeriodicTasks.last_change() == notified_at

        queues.change(name="slow", changes={"interval_seconds": 60})
        assert PeriodicTasks.last_change() > notified_at

    @pytest.mark.django_db(transaction=True)
    def test_concurrent_changes_leave_one_matching_task(self) -> None:
        slow()

        results = at_once(
            [partial(queues.change, name="slow", changes={"interval_seconds": seconds}) for seconds in (60, 30, 10, 5)]
        )

        assert [type(result) for result in results] == [OutboundQueue] * 4
        assert beat_rows() == [row(OutboundQueue.objects.get().interval_seconds)]


class TestPace:
    @pytest.mark.parametrize(
        ("values", "missing"),
        [({"batch_size": None}, "batch_size"), ({"interval_seconds": None}, "interval_seconds")],
        ids=str,
    )
    def test_an_incomplete_pace_is_refused_and_changes_nothing(self, values, missing: str) -> None:
        with pytest.raises(InvalidField) as new:
            slow(name="half", **values)
        slow()
        before = OutboundQueue.objects.values().get()
        with pytest.raises(InvalidField) as changed:
            queues.change(name="slow", changes={**values, "description": "x"})

        assert [(e.value.field, e.value.field_code) for e in (new, changed)] == [(missing, "half_a_pace")] * 2
        assert OutboundQueue.objects.values().get() == before
        assert beat_rows() == [row(120)]

    def test_only_editable_fields_are_changed(self) -> None:
        made = slow()

        queues.change(name="slow", changes={"name": "other", "last_tick_at": made.created_at, "description": "x"})

        queue = OutboundQueue.objects.get()
        assert (queue.name, queue.last_tick_at, queue.description) == ("slow", None, "x")
        assert queue.updated_at > made.updated_at

    def test_a_change_does_not_overwrite_a_concurrent_tick(self, now) -> None:
        slow()
        OutboundQueue.objects.update(last_tick_at=now)

        queues.change(name="slow", changes={"batch_size": 9})

        assert OutboundQueue.objects.get().last_tick_at == now

    def test_a_queue_that_does_not_exist_is_not_changed(self) -> None:
        with pytest.raises(OutboundQueue.DoesNotExist):
            queues.change(name="nowhere", changes={"is_paused": True})

        assert not OutboundQueue.objects.exists()


class TestDepth:
    @pytest.fixture
    def waiting(self, express, now) -> OutboundQueue:
        """Two ready, one bulk, one deferred; and some that do not wait."""
        owner = UserFactory()
        MessageFactory(queue=express, owner=owner, created_at=now - MINUTE)
        MessageFactory(queue=express, owner=owner)
        MessageFactory(queue=express, owner=owner, is_bulk=True)
        MessageFactory(queue=express, owner=owner, next_attempt_at=now + MINUTE)
        for values in ({"sending": True}, {"sent": True}, {"status": Status.FAILED}, {"status": Status.CANCELED}):
            MessageFactory(queue=express, owner=owner, created_at=now - 9 * MINUTE, **values)
        MessageFactory(
            queue=express, owner=owner, created_at=now - 9 * MINUTE, status=Status.SCHEDULED, next_attempt_at=now
        )
        return express

    def test_ready_and_deferred_messages_are_counted(self, waiting) -> None:
        QueueFactory(name="empty")
        MessageFactory(queue=QueueFactory(name="other"))

        assert queues.depths(["express", "empty"]) == {"express": 4, "empty": 0}

    def test_the_oldest_ready_message(self, waiting, now) -> None:
        QueueFactory(name="empty")

        assert queues.oldest_queued(["express", "empty"]) == {"express": now - MINUTE}

    @pytest.mark.parametrize(
        "values",
        [
            {"is_bulk": True},
            {"is_bulk": False},
            {"deferred": True},
            {"deferred": True, "is_bulk": True},
        ],
        ids=str,
    )
    def test_the_oldest_may_be_a_bulk_or_a_deferred_one(self, express, now, request, values) -> None:
        bulk, due = values.get("is_bulk", False), now if values.get("deferred") else None
        MessageFactory(queue=express, created_at=now - 5 * MINUTE, is_bulk=bulk, next_attempt_at=due)
        request.getfixturevalue("waiting")

        assert queues.oldest_queued(["express"]) == {"express": now - 5 * MINUTE}

    def test_both_cost_the_same_for_one_queue_and_for_five(self, now) -> None:
        owner, names = UserFactory(), [f"queue{n}" for n in range(5)]
        for name in names:
            MessageFactory(queue=QueueFactory(name=name), owner=owner)
            MessageFactory(queue=QueueFactory(name=name), owner=owner, next_attempt_at=now)
        costs = []

        for asked in (names[:1], names):
            with CaptureQueriesContext(connection) as found:
                queues.depths(asked)
                queues.oldest_queued(asked)
            costs.append(len(found))

        assert costs == [3, 3]


@pytest.mark.parametrize("field", BEYOND)
def test_a_pace_beyond_the_maximum_is_refused(field: str) -> None:
    queue = slow()

    with pytest.raises(InvalidField) as error:
        queues.change(name="slow", changes={field: BEYOND[field]})
    with pytest.raises(InvalidField):
        queues.create(OutboundQueue(**{"name": "new", "batch_size": 2, "interval_seconds": 120, field: BEYOND[field]}))

    assert (error.value.field, error.value.field_code) == (field, "max_value")
    assert OutboundQueue.objects.values().get() == OutboundQueue.objects.filter(pk=queue.pk).values().get()
    assert [row[3] for row in beat_rows()] == [120]


def test_a_queue_with_an_older_pace_beyond_the_maximum_can_be_paused() -> None:
    slow()
    OutboundQueue.objects.update(**BEYOND)

    assert queues.change(name="slow", changes={"is_paused": True}).is_paused
