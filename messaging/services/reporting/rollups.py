"""Counters, written in the transaction that they count: the only writer of `CountJournal` and `Rollup`.

A `CounterBatch` adds up one transaction's counts and appends them to the journal as one row. Rows are never shared, so no
worker waits for another. `compact` adds the rows to totals later. `statistics` reads both.
"""

import json
import logging
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from messaging.database_faults import DATABASE_FAULTS
from messaging.models import CountJournal, Message, Rollup
from messaging.models.rollup import EVER, NO_OWNER
from messaging.services import statements
from messaging.services.statements import Statement
from messaging.states import COUNTED_BY_PROVIDER, Status

Metric = Rollup.Metric

# Upper bounds of the histograms' buckets, in seconds.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
BUCKETS = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
# Journal rows of one transaction of `compact`, and its transactions. If compaction was away for an hour at 280 transactions a
# second, four sweeps catch up.
CHUNK = 5_000
MAX_CHUNKS = 50
# Waiting rows from which readers help, and how many chunks of them. Reading 20,000 rows takes 0.2 s.
BACKLOG = 20_000
RELIEF_CHUNKS = 4
SECONDS_PER_HOUR = 3_600

logger = logging.getLogger(__name__)
HOURS_KEPT_FOR = timedelta(days=400)


class CounterKey(NamedTuple):
    hour: datetime
    measure: Metric
    owner_id: int
    provider_slug: str
    word: str


# An hour in seconds since 1970, and the other parts of a `CounterKey`.
JournalKey = tuple[int, str, int, str, str]


class CounterBatch:
    """The counts of one transaction. `write` inserts them; they roll back with the transaction."""

    def __init__(self) -> None:
        self._sums: dict[JournalKey, tuple[int, float]] = {}

    def created(self, message: Message, *, count: int = 1) -> None:
        """Count `count` new messages like this one."""
        self._add(message.created_at, Metric.ENTERED, message.status, owner_id=message.owner_id, count=count)

    def moved(self, message: Message, before: Status, *, now: datetime) -> None:
        """Count a transition. The message already has its new status."""
        status = Status(message.status)
        provider = (message.provider_id or "") if status in COUNTED_BY_PROVIDER else ""
        waited = seconds_between(due(message), now)
        self._add(now, Metric.LEFT, before, owner_id=message.owner_id)
        self._add(now, Metric.ENTERED, status, owner_id=message.owner_id, provider=provider, seconds=waited)
        if status is Status.SENT:
            self._observe(now, Metric.TO_SENT, provider, waited)
        elif status is Status.DELIVERED and message.sent_at is not None:
            self._observe(now, Metric.TO_DELIVERED, provider, seconds_between(message.sent_at, now))

    def removed(self, owner_id: int | None, status: str, *, count: int, now: datetime) -> None:
        """Count messages of the owner that were deleted in this status."""
        self._add(now, Metric.REMOVED, status, owner_id=owner_id, count=count)

    def attempted(self, provider: str, outcome: str, *, now: datetime, latency_ms: int | None = None) -> None:
        """Count an attempt by outcome, and the duration of its call when it is known."""
        self._add(now, Metric.ATTEMPT, outcome, provider=provider)
        if latency_ms is not None:
            self._observe(now, Metric.CALL, provider, latency_ms / 1000)

    def called_back(self, provider: str, state: str, *, now: datetime) -> None:
        """Count a provider's callback by state."""
        self._add(now, Metric.CALLBACK, state, provider=provider)

    def notified(self, outcome: str, *, now: datetime) -> None:
        """Count a webhook attempt by outcome, whether or not a call was made."""
        self._add(now, Metric.WEBHOOK, outcome)

    def dumps(self) -> str:
        """The value of `CountJournal.counts`, for the caller's own INSERT in the same transaction; empty without counts."""
        if not self._sums:
            return ""
        return json.dumps([(*key, *sums) for key, sums in self._sums.items()], separators=(",", ":"))

    def write(self) -> None:
        """Insert the counts as one row, or none. Call it inside the transaction that it counts."""
        statements.execute(self.inserts())

    def inserts(self) -> list[Statement]:
        """The same, for the caller to execute together with its other statements."""
        counts = self.dumps()
        return [Statement("INSERT INTO messaging_countjournal (counts) VALUES (%s)", [counts])] if counts else []

    def _observe(self, now: datetime, metric: Metric, provider: str, seconds: float) -> None:
        self._add(now, metric, BUCKETS[bisect_left(BOUNDS, seconds)], provider=provider, seconds=seconds)

    def _add(
        self,
        at: datetime,
        metric: Metric,
        word: str,
        *,
        owner_id: int | None = None,
        provider: str = "",
        count: int = 1,
        seconds: float = 0.0,
    ) -> None:
        hour = int(at.timestamp()) // SECONDS_PER_HOUR * SECONDS_PER_HOUR
        key = (hour, str(metric), owner_id or NO_OWNER, provider, str(word))
        before = self._sums.get(key, (0, 0.0))
        self._sums[key] = before[0] + count, before[1] + seconds


def hour_of(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def due(message: Message) -> datetime:
    """The earliest time at which the message could be sent."""
    return max(message.created_at, message.send_at) if message.send_at else message.created_at


def seconds_between(start: datetime, end: datetime) -> float:
    """Never negative: the clocks of two hosts differ."""
    return max(0.0, (end - start).total_seconds())


def compact(*, max_chunks: int = MAX_CHUNKS) -> int:
    """Add the journal to the totals; return how many of its rows. Safe to repeat, to interrupt and to run concurrently.

    Each chunk is one transaction, and readers use a single statement, so every sum is right at any time.
    """
    total = 0
    for _ in range(max_chunks):
        done = _compact_chunk()
        total += done
        if done < CHUNK:
            break
    return total


def relieve(waiting: int) -> None:
    """Called by readers with the number of waiting rows: compact a part of them if sweeps do not, because beat is down.

    So figures that are read regularly, such as `/metrics`, do not become slower and slower.
    """
    if waiting <= BACKLOG:
        return
    try:
        compact(max_chunks=RELIEF_CHUNKS)
    except DATABASE_FAULTS as error:
        logger.warning("counts not compacted by a reader (%s)", type(error).__name__)


@transaction.atomic
def _compact_chunk() -> int:
    locked = CountJournal.objects.order_by("pk").select_for_update(skip_locked=True)
    rows = list(locked.values_list("pk", "counts")[:CHUNK])
    _add_to_totals(_sums_of(counts for _, counts in rows))
    CountJournal.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
    return len(rows)


def _sums_of(journal: Iterable[str]) -> dict[CounterKey, tuple[int, float]]:
    """The sums of each hour and of all time."""
    found: dict[JournalKey, tuple[int, float]] = {}
    for counts in journal:
        for *parts, count, seconds in json.loads(counts):
            key = (parts[0], parts[1], parts[2], parts[3], parts[4])
            before = found.get(key, (0, 0.0))
            found[key] = before[0] + count, before[1] + seconds
    sums: dict[CounterKey, tuple[int, float]] = {}
    for (epoch, measure, owner_id, provider, word), (count, seconds) in found.items():
        for hour in (datetime.fromtimestamp(epoch, UTC), EVER):
            total = CounterKey(hour, Metric(measure), owner_id, provider, word)
            before = sums.get(total, (0, 0.0))
            sums[total] = before[0] + count, before[1] + seconds
    return sums


def _add_to_totals(sums: Mapping[CounterKey, tuple[int, float]]) -> None:
    """In SQL, for both databases: on a conflict, `bulk_create` can replace a value but not add to it."""
    if not sums:
        return
    table, names = _table_and_columns()
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names[-2:])
    statement = (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) "  # noqa: S608
        f"ON CONFLICT ({', '.join(names[:-2])}) DO UPDATE SET {added}"
    )
    # Sorted, so that concurrent compactions cannot deadlock.
    rows = [(*key, *values) for key, values in sorted(sums.items())]
    with connection.cursor() as cursor:
        cursor.executemany(statement, _prepared(rows))


_COLUMNS = (*CounterKey._fields, "count", "seconds")  # columns are named like their fields
_FIELDS = [{field.name: field for field in Rollup._meta.concrete_fields}[name] for name in _COLUMNS]  # noqa: SLF001


def _table_and_columns() -> tuple[str, list[str]]:
    quote = connection.ops.quote_name
    return quote(Rollup._meta.db_table), [quote(name) for name in _COLUMNS]  # noqa: SLF001


def _prepared(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Convert values for the database. Any: each column has its own type."""
    return [
        [field.get_db_prep_save(value, connection) for field, value in zip(_FIELDS, row, strict=True)] for row in rows
    ]


def purge(*, now: datetime) -> None:
    """Delete hourly totals older than `HOURS_KEPT_FOR`. All-time totals stay, so counts by status remain right."""
    Rollup.objects.filter(hour__gt=EVER, hour__lt=now - HOURS_KEPT_FOR).delete()
