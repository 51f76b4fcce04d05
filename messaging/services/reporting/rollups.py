"""Counters, written in the transaction that they count: the only writer of `Rollup`.

A `CounterBatch` adds up one transaction's counts and appends them as new rows. Rows are never shared, so no worker waits for
another. `compact` adds the rows to totals later. `statistics` reads them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from messaging.models import Message, Rollup
from messaging.models.rollup import EVER, NO_OWNER
from messaging.states import COUNTED_BY_PROVIDER, Status

Metric = Rollup.Metric

# Upper bounds of the histograms' buckets, in seconds.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
BUCKETS = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
CHUNK = 1_000
MAX_CHUNKS = 50
HOURS_KEPT_FOR = timedelta(days=400)


class CounterKey(NamedTuple):
    hour: datetime
    measure: Metric
    owner_id: int
    provider_slug: str
    word: str


class CounterBatch:
    """The counts of one transaction. `write` inserts them; they roll back with the transaction."""

    def __init__(self) -> None:
        self._counts: dict[CounterKey, int] = defaultdict(int)
        self._seconds: dict[CounterKey, float] = defaultdict(float)

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

    def write(self) -> None:
        """Insert the counts with one statement, or none. Call it inside the transaction that it counts.

        In SQL, because each message passes here five times, and `bulk_create` costs three times as much.
        """
        if self._counts:
            rows = _prepared((*key, count, self._seconds[key]) for key, count in self._counts.items())
            table, names = _table_and_columns()
            placeholders = ", ".join([f"({'%s, ' * len(names)}false)"] * len(rows))
            with connection.cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO {table} ({', '.join(names)}, folded) VALUES {placeholders}",  # noqa: S608
                    [value for row in rows for value in row],
                )

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
        key = CounterKey(hour_of(at), metric, owner_id or NO_OWNER, provider, str(word))
        self._counts[key] += count
        self._seconds[key] += seconds


def hour_of(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def due(message: Message) -> datetime:
    """The earliest time at which the message could be sent."""
    return max(message.created_at, message.send_at) if message.send_at else message.created_at


def seconds_between(start: datetime, end: datetime) -> float:
    """Never negative: the clocks of two hosts differ."""
    return max(0.0, (end - start).total_seconds())


def compact() -> int:
    """Add the appended rows to the totals; return how many. Safe to repeat, to interrupt and to run concurrently.

    Each chunk is one transaction, and readers use a single statement, so every sum is right at any time.
    """
    total = 0
    for _ in range(MAX_CHUNKS):
        done = _compact_chunk()
        total += done
        if done < CHUNK:
            break
    return total


@transaction.atomic
def _compact_chunk() -> int:
    rows = list(Rollup.objects.filter(folded=False).order_by("pk").select_for_update(skip_locked=True)[:CHUNK])
    sums: dict[CounterKey, tuple[int, float]] = {}
    for row in rows:
        for hour in (row.hour, EVER):
            key = CounterKey(hour, Metric(row.measure), row.owner_id, row.provider_slug, row.word)
            count, seconds = sums.get(key, (0, 0.0))
            sums[key] = count + row.count, seconds + row.seconds
    _add_to_totals(sums)
    Rollup.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _add_to_totals(sums: Mapping[CounterKey, tuple[int, float]]) -> None:
    """In SQL, for both databases: on a conflict, `bulk_create` can replace a value but not add to it."""
    if not sums:
        return
    table, names = _table_and_columns()
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names[-2:])
    statement = (
        f"INSERT INTO {table} ({', '.join(names)}, folded) VALUES ({'%s, ' * len(names)}true) "  # noqa: S608
        f"ON CONFLICT ({', '.join(names[:-2])}) WHERE folded DO UPDATE SET {added}"
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
    Rollup.objects.filter(folded=True, hour__gt=EVER, hour__lt=now - HOURS_KEPT_FOR).delete()
