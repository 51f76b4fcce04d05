"""Ticks of paced queues, and the oldest due message."""

from datetime import timedelta
from functools import partial

import pytest

from messaging.models import Message, OutboundQueue
from messaging.services.outbound import pacing, queues, recovery
from tests.factories import MessageFactory, QueueFactory
from tests.messaging.parallel import at_once
from tests.messaging.plans import on_postgresql, plans_of

pytestmark = pytest.mark.django_db
INTERVAL = timedelta(seconds=120)
MINUTE = timedelta(minutes=1)
DEAD = "+15005559903"


@pytest.fixture
def paced(db):
    return QueueFactory(paced=True)


def tick(now):
    return pacing.take_tick(queue_name="paced", now=now)


def test_the_first_tick_may_send_a_batch(paced, now) -> None:
    assert tick(now) == 2


def test_there_is_no_second_tick_within_the_interval(paced, now) -> None:
    tick(now)

    assert [tick(now + timedelta(seconds=s)) for s in (0, 1, 60, 118)] == [0, 0, 0, 0]
    assert tick(now + INTERVAL) == 2


def test_a_slightly_early_tick_counts_as_the_due_one(paced, now) -> None:
    tick(now)

    assert tick(now + INTERVAL - timedelta(seconds=0.9)) == 2
    assert tick(now + INTERVAL + timedelta(seconds=1)) == 0
    assert tick(now + 2 * INTERVAL - timedelta(seconds=0.9)) == 2


def test_early_ticks_do_not_add_up(paced, now) -> None:
    """A beat that is always early must not send more often than the pace allows."""
    claimed = [
        tick(now + interval * INTERVAL + timedelta(seconds=early))
        for interval in range(20)
        for early in (-3, -2, -1.5, -1, -0.5, 0, 0.5)
    ]

    assert sum(map(bool, claimed)) == 20


def test_a_last_tick_in_the_future_does_not_stop_the_queue(paced, now) -> None:
    tick(now + 30 * INTERVAL)

    assert [tick(now), tick(now + timedelta(seconds=1)), tick(now + INTERVAL)] == [2, 0, 2]


def test_missed_ticks_are_not_made_up_for(paced, now) -> None:
    tick(now)
    late = now + 10 * INTERVAL

    assert tick(late) == 2
    assert tick(late + timedelta(seconds=60)) == 0
    assert tick(late + INTERVAL) == 2


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [
        ((0, 120, 242.5, 360, 480), [2, 2, 2, 2, 2]),
        ((0, 121.5, 240, 390, 480, 600), [2, 2, 2, 2, 2, 2]),
        ((0, 230, 240, 350), [2, 2, 0, 2]),
    ],
)
def test_a_late_tick_does_not_cost_the_next_one(paced, now, seconds: tuple, sent: list[int]) -> None:
    assert [tick(now + timedelta(seconds=each)) for each in seconds] == sent


@pytest.mark.parametrize("name", ["express", "nowhere"])
def test_a_queue_without_a_pace_has_no_ticks(express, now, name: str) -> None:
    assert pacing.take_tick(queue_name=name, now=now) == 0


def test_a_paused_queue_has_no_tick_and_does_not_lose_it(paced, now) -> None:
    OutboundQueue.objects.update(is_paused=True)

    assert tick(now) == 0

    OutboundQueue.objects.update(is_paused=False)
    assert tick(now) == 2


def test_a_changed_pace_counts_from_the_next_tick(paced, now) -> None:
    tick(now)
    OutboundQueue.objects.update(batch_size=5, interval_seconds=10)

    assert tick(now + timedelta(seconds=8)) == 0
    assert tick(now + timedelta(seconds=10)) == 5


@pytest.mark.django_db(transaction=True)
def test_of_ten_workers_one_claims_the_tick(now) -> None:
    QueueFactory(paced=True)

    for round_number in range(5):
        claimed = at_once([partial(tick, now + round_number * INTERVAL)] * 10)

        assert sorted(claimed) == [0] * 9 + [2]


def test_queues_with_ready_messages_are_dispatched(express, paced, now) -> None:
    QueueFactory(name="empty")
    MessageFactory(queue=express)
    MessageFactory(queue=paced)
    MessageFactory(queue=QueueFactory(name="held", is_paused=True))
    MessageFactory(queue=QueueFactory(name="later"), next_attempt_at=now)
    MessageFactory(queue=QueueFactory(name="done"), sent=True)

    assert pacing.queues_to_dispatch() == ["express"]


def test_the_oldest_due_message_ignores_paced_and_paused_queues(express, paced, now) -> None:
    assert pacing.oldest_due(now=now) is None

    MessageFactory(queue=express, created_at=now - MINUTE)
    MessageFactory(queue=express, created_at=now)
    MessageFactory(queue=QueueFactory(name="bulk"), created_at=now - MINUTE / 2, is_bulk=True)
    MessageFactory(queue=paced, created_at=now - 2 * MINUTE)
    MessageFactory(queue=QueueFactory(name="held", is_paused=True), created_at=now - 3 * MINUTE)
    MessageFactory(queue=QueueFactory(name="later"), created_at=now - 4 * MINUTE, next_attempt_at=now)

    assert pacing.oldest_due(now=now) == now - MINUTE


def waits_for_its_retry(now, **fields) -> Message:
    return MessageFactory(
        to_number=DEAD, created_at=now - 10 * MINUTE, attempts=2, next_attempt_at=now + MINUTE / 6, **fields
    )


@pytest.mark.parametrize("in_front", [waits_for_its_retry, lambda now: MessageFactory(sending=True, to_number=DEAD)])
def test_a_message_behind_an_older_one_to_its_number_is_not_due(express, now, monkeypatch, in_front) -> None:
    monkeypatch.setattr(pacing, "PAGE", 2)
    in_front(now)
    for _ in range(5):
        MessageFactory(to_number=DEAD, created_at=now - 9 * MINUTE)
    MessageFactory(to_number=DEAD, created_at=now - 9 * MINUTE, is_bulk=True)
    assert pacing.oldest_due(now=now) is None

    MessageFactory(created_at=now - 8 * MINUTE)
    MessageFactory(to_number=DEAD, created_at=now - 7 * MINUTE)

    assert pacing.oldest_due(now=now) == now - 8 * MINUTE


def test_no_message_waits_behind_an_ended_or_expired_one(express, now) -> None:
    waits_for_its_retry(now, expires_at=now)
    MessageFactory(to_number=DEAD, created_at=now - 9 * MINUTE, sent=True)
    MessageFactory(to_number=DEAD, created_at=now - 8 * MINUTE)

    assert pacing.oldest_due(now=now) == now - 8 * MINUTE


def test_a_single_message_does_not_wait_for_a_bulk_one(express, now) -> None:
    waits_for_its_retry(now, is_bulk=True)
    MessageFactory(to_number=DEAD, created_at=now - 8 * MINUTE)

    assert pacing.oldest_due(now=now) == now - 8 * MINUTE


def test_no_message_waits_when_the_order_is_not_preserved(now) -> None:
    QueueFactory(preserve_order=False)
    waits_for_its_retry(now)
    MessageFactory(to_number=DEAD, created_at=now - 8 * MINUTE)

    assert pacing.oldest_due(now=now) == now - 8 * MINUTE


@pytest.mark.parametrize(
    "fields",
    [
        {"send_at": MINUTE},
        {"attempts": 3, "rounds_failed": 3, "updated_at": MINUTE},
        {"error_code": "waiting_for_provider", "updated_at": MINUTE},
    ],
    ids=["scheduled", "retried", "waited for an account"],
)
def test_a_returned_message_is_due_since_its_return_and_not_its_creation(express, now, fields) -> None:
    ago = {name: now - value if isinstance(value, timedelta) else value for name, value in fields.items()}
    MessageFactory(created_at=now - 60 * MINUTE, **ago)

    assert pacing.oldest_due(now=now) == now - MINUTE


def test_a_message_that_the_tick_releases_is_due_from_then_on(express, now) -> None:
    MessageFactory(
        created_at=now - 60 * MINUTE, updated_at=now - 30 * MINUTE, attempts=4, next_attempt_at=now - MINUTE / 10
    )

    recovery.release_due(now=now)

    assert pacing.oldest_due(now=now + MINUTE) == now


def test_a_returned_claim_does_not_reset_the_time_since_due(express, now) -> None:
    MessageFactory(created_at=now - 60 * MINUTE, updated_at=now)

    assert pacing.oldest_due(now=now) == now - 60 * MINUTE


def test_the_number_of_queries_does_not_grow(now, django_assert_num_queries) -> None:
    for count in (1, 50):
        for number in range(count):
            MessageFactory(queue=QueueFactory(name=f"queue{number}"))
        with django_assert_num_queries(2):
            pacing.oldest_due(now=now)


@on_postgresql
@pytest.mark.parametrize(
    "read",
    [
        lambda now: pacing.queues_to_dispatch(),
        lambda now: pacing.oldest_due(now=now),
        lambda now: queues.oldest_queued(["express", "paced"]),
    ],
    ids=["queues_to_dispatch", "oldest_due", "oldest_queued"],
)
def test_history_is_not_read_to_find_what_waits(express, paced, now, read) -> None:
    MessageFactory(created_at=now)

    plans = plans_of(partial(read, now), misled=True)

    assert plans
    assert [plan for plan in plans if "message_ready" not in plan and "Index Cond: (id" not in plan] == []
    assert [plan for plan in plans if "Seq Scan on messaging_message" in plan] == []
