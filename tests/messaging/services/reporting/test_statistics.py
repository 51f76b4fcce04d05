"""Figures from the rollups, by owner, hour and provider."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from messaging.models import CountJournal, Message, Rollup
from messaging.models.rollup import EVER
from messaging.services import transitions
from messaging.services.reporting import rollups, statistics
from messaging.services.reporting.statistics import HourlyCount, ProviderDelivery
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from tests.factories import AccountFactory, MessageFactory, UserFactory

pytestmark = pytest.mark.django_db
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def made(now, **values) -> Message:
    """A new message, counted as created."""
    message = MessageFactory(created_at=now, **values)
    transitions.record_creation([message], source=Source.API, actor=None)
    return message


def move(message: Message, *steps: Status, now, **facts) -> Message:
    for step in steps:
        message.claim_id, message.lease_until = message.pk, now
        for name, value in facts.items():
            setattr(message, name, value)
        by_operator = step is Status.QUEUED
        transitions.apply(
            [Transition(message, step, Source.DISPATCH, by_operator=by_operator)], now=now, fields=["provider", *facts]
        )
    return message


def delivered(now, *, after: timedelta, **values) -> Message:
    message = move(made(now, **values), Status.SENDING, Status.SENT, now=now, sent_at=now)
    return move(message, Status.DELIVERED, now=now + after, delivered_at=now + after)


@pytest.fixture(params=[False, True], ids=["not compacted", "compacted"])
def compacted(request):
    """Compacts or not: the figures are the same."""
    return rollups.compact if request.param else lambda: 0


def test_without_messages_all_figures_are_empty() -> None:
    found = statistics.statistics(owner_id=None, since=None)

    assert (found.processed, found.queue_size, found.average_seconds, found.since) == (0, 0, None, None)
    assert found.by_status == dict.fromkeys(Status, 0)


def test_processed_counts_ended_messages_and_the_queue_waiting_ones(now, compacted) -> None:
    made(now)
    move(made(now), Status.SENDING, now=now)
    move(made(now), Status.SENDING, Status.SENT, now=now)
    move(made(now), Status.SENDING, Status.UNKNOWN, now=now)
    move(made(now), Status.SENDING, Status.FAILED, now=now + 2 * SECOND)
    delivered(now, after=10 * SECOND)
    compacted()

    found = statistics.statistics(owner_id=None, since=None)

    assert (found.processed, found.queue_size, found.average_seconds) == (2, 2, 6.0)
    assert {status: count for status, count in found.by_status.items() if count} == {
        "queued": 1, "sending": 1, "sent": 1, "unknown": 1, "failed": 1, "delivered": 1,
    }  # fmt: skip


def test_inbound_messages_are_counted_when_they_are_processed(now, compacted) -> None:
    made(now, inbound=True)
    move(made(now, inbound=True), Status.STORED, now=now)
    move(made(now, inbound=True), Status.STORED, Status.PROCESSED, now=now + SECOND)
    compacted()

    found = statistics.statistics(owner_id=None, since=None)

    assert (found.processed, found.queue_size, found.average_seconds) == (1, 2, 1.0)


def test_a_message_queued_again_is_not_processed_until_it_ends_again(now) -> None:
    message = move(made(now), Status.SENDING, Status.FAILED, now=now)
    assert statistics.statistics(owner_id=None, since=None).processed == 1

    move(message, Status.QUEUED, now=now)

    assert statistics.statistics(owner_id=None, since=None).processed == 0


def test_each_owner_has_its_own_figures(now, compacted) -> None:
    mine, other = UserFactory.create_batch(2)
    delivered(now, after=SECOND, owner=mine)
    for _ in range(2):
        made(now, owner=other)
    compacted()

    assert statistics.statistics(owner_id=mine.pk, since=None).processed == 1
    assert statistics.statistics(owner_id=mine.pk, since=None).queue_size == 0
    assert statistics.statistics(owner_id=other.pk, since=None).queue_size == 2


def test_since_is_rounded_to_the_hour_and_does_not_change_current_counts(now, compacted) -> None:
    delivered(now - 5 * HOUR, after=SECOND)
    delivered(now, after=3 * SECOND)
    made(now - 5 * HOUR)
    compacted()

    found = statistics.statistics(owner_id=None, since=now + 59 * SECOND)

    assert (found.processed, found.average_seconds, found.since) == (1, 3.0, now)
    assert (found.queue_size, found.by_status[Status.DELIVERED]) == (1, 2)


def test_messages_by_hour_and_status(now, compacted) -> None:
    delivered(now - 2 * HOUR, after=HOUR)
    made(now - 4 * HOUR)
    compacted()

    assert statistics.hourly(since=now - 3 * HOUR) == [
        HourlyCount(now - 2 * HOUR, Status.QUEUED, 1),
        HourlyCount(now - 2 * HOUR, Status.SENDING, 1),
        HourlyCount(now - 2 * HOUR, Status.SENT, 1),
        HourlyCount(now - HOUR, Status.DELIVERED, 1),
    ]
    assert statistics.hourly(since=now - 3 * HOUR, owner_id=UserFactory().pk) == []


def test_results_by_provider(now, compacted) -> None:
    acme, zeta = AccountFactory(slug="acme"), AccountFactory(slug="zeta")
    for seconds in (1, 2, 4):
        delivered(now, after=seconds * SECOND, provider=acme)
    for end in (Status.UNDELIVERED, Status.FAILED):
        move(made(now, provider=acme), Status.SENDING, Status.SENT, end, now=now)
    move(made(now, provider=zeta), Status.SENDING, Status.SENT, now=now)
    delivered(now - 9 * HOUR, after=SECOND, provider=zeta)
    compacted()

    assert statistics.by_provider(since=now) == [
        ProviderDelivery("acme", delivered=3, undelivered=1, failed=1, rate=0.6, median_seconds=1.75),
        ProviderDelivery("zeta", delivered=0, undelivered=0, failed=0, rate=None, median_seconds=None),
    ]


@pytest.mark.parametrize(
    ("buckets", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({"1": 10}, 0.5, 0.75),
        ({"0.05": 1, "1": 1}, 0.5, 0.05),
        ({"0.05": 1, "1": 3}, 1.0, 1.0),
        ({"+Inf": 4}, 0.5, 7200.0),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(buckets, share, seconds) -> None:
    assert statistics.quantile(buckets, share) == seconds


@pytest.mark.parametrize("size", [1, 30])
def test_any_number_of_messages_takes_two_queries(now, size: int, django_assert_num_queries) -> None:
    for _ in range(size):
        made(now)

    with django_assert_num_queries(2):
        statistics.statistics(owner_id=None, since=None)


def test_readers_compact_a_part_of_the_journal_when_sweeps_do_not(now, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "BACKLOG", 5)
    monkeypatch.setattr(rollups, "CHUNK", 1)
    for _ in range(5):
        made(now)
    assert statistics.current()[Status.QUEUED] == 5
    assert CountJournal.objects.count() == 5
    made(now)

    assert [statistics.current()[Status.QUEUED] for _ in range(2)] == [6, 6]

    assert CountJournal.objects.count() == 6 - rollups.RELIEF_CHUNKS


def test_a_reader_that_cannot_compact_still_reads(now, monkeypatch) -> None:
    monkeypatch.setattr(rollups, "BACKLOG", 0)
    monkeypatch.setattr(rollups, "compact", fails)
    made(now)

    assert statistics.current()[Status.QUEUED] == 1


def fails(**_: int) -> int:
    raise OperationalError("the database is locked")


def test_current_counts_are_read_by_index_after_many_hours(now) -> None:
    Rollup.objects.bulk_create(
        Rollup(hour=now - age * HOUR, measure="entered", word="queued", count=1) for age in range(3_000)
    )
    Rollup.objects.create(hour=EVER, measure="entered", word="queued", count=3_000)
    made(now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_rollup")
    with CaptureQueriesContext(connection) as queries:
        assert statistics.current()[Status.QUEUED] == 3_001

    [query] = queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{query['sql']}")
        plan = str(cursor.fetchall())
    # SQLite names the index of a unique constraint by itself.
    assert "rollup_one_total" in plan or "sqlite_autoindex_messaging_rollup" in plan
