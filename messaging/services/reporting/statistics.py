"""Figures from the rollups and the journal: one query each, for any number of messages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from messaging import states
from messaging.models import Rollup
from messaging.models.rollup import EVER
from messaging.services.reporting import rollups
from messaging.services.reporting.rollups import BOUNDS, BUCKETS, hour_of
from messaging.states import Status

Metric = Rollup.Metric

# How each metric changes the number of messages in a status.
SIGNS = {Metric.ENTERED: 1, Metric.LEFT: -1, Metric.REMOVED: -1}


@dataclass(frozen=True, slots=True)
class Statistics:
    """`processed` and `average_seconds` cover the time from `since` on (None: all time); the others are current."""

    processed: int
    queue_size: int
    average_seconds: float | None
    by_status: Mapping[Status, int]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ProviderDelivery:
    """Results of one provider. `rate` is `delivered` per ended message; both figures are None without any."""

    slug: str
    delivered: int
    undelivered: int
    failed: int
    rate: float | None
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class Total:
    metric: Metric
    provider_slug: str
    word: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HourlyCount:
    hour: datetime
    status: Status
    count: int


def statistics(*, owner_id: int | None, since: datetime | None) -> Statistics:
    """The figures of one owner's messages, or of all (None). `since` is rounded down to its hour.

    A message is processed when it has ended: outbound in a final status, inbound in `processed`. A message that an operator
    queued again is not processed until it ends again; an erased one still counts. The average is the time from when a message
    was due until it ended.
    """
    start = None if since is None else hour_of(since)
    ended = totals(owner_id=owner_id, since=start, metrics=(Metric.ENTERED, Metric.LEFT))
    final = [total for total in ended if total.word in states.FINAL]
    entered = [total for total in final if total.metric == Metric.ENTERED]
    count = sum(total.count for total in entered)
    queued_again = sum(total.count for total in final if total.metric == Metric.LEFT)
    by_status = current(owner_id=owner_id)
    return Statistics(
        processed=max(0, count - queued_again),
        queue_size=sum(by_status[status] for status in states.IN_QUEUE),
        average_seconds=sum(total.seconds for total in entered) / count if count else None,
        by_status=by_status,
        since=start,
    )


def current(*, owner_id: int | None = None) -> dict[Status, int]:
    """The current number of messages in each status."""
    return current_of(totals(owner_id=owner_id, metrics=tuple(SIGNS)))


def current_of(found: Iterable[Total]) -> dict[Status, int]:
    """The same, from totals that were already read."""
    counts = dict.fromkeys(Status, 0)
    for total in found:
        if total.metric in SIGNS:
            counts[Status(total.word)] += SIGNS[total.metric] * total.count
    return counts


def totals(
    *,
    metrics: tuple[Metric, ...] = tuple(Metric),
    owner_id: int | None = None,
    since: datetime | None = None,
) -> list[Total]:
    """Sums by metric, provider and word; of an owner or of all, from the hour `since` on or of all time."""
    sums = _sums(("measure", "provider_slug", "word"), metrics=metrics, owner_id=owner_id, since=since)
    return [Total(Metric(metric), slug, word, *sums[metric, slug, word]) for metric, slug, word in sorted(sums)]


def hourly(*, since: datetime, until: datetime | None = None, owner_id: int | None = None) -> list[HourlyCount]:
    """The number of messages that entered each status in each hour, oldest first, without empty hours.

    From the hour of `since` on; before that of `until`, if given.
    """
    end = None if until is None else hour_of(until)
    sums = _sums(("hour", "word"), metrics=(Metric.ENTERED,), owner_id=owner_id, since=hour_of(since), until=end)
    return [HourlyCount(hour, Status(word), sums[hour, word][0]) for hour, word in sorted(sums)]


def by_provider(*, since: datetime) -> list[ProviderDelivery]:
    """The results of each provider since that hour, by slug."""
    metrics = (Metric.ENTERED, Metric.TO_DELIVERED)
    found: dict[str, dict[tuple[Metric, str], int]] = defaultdict(dict)
    for total in totals(metrics=metrics, since=hour_of(since)):
        if total.provider_slug:
            found[total.provider_slug][total.metric, total.word] = total.count
    return [_delivery(slug, counts) for slug, counts in found.items()]


def _delivery(slug: str, counts: Mapping[tuple[Metric, str], int]) -> ProviderDelivery:
    delivered, undelivered, failed = (counts.get((Metric.ENTERED, status), 0) for status in states.DELIVERY_OUTCOMES)
    ended = delivered + undelivered + failed
    buckets = {word: count for (metric, word), count in counts.items() if metric == Metric.TO_DELIVERED}
    return ProviderDelivery(
        slug=slug,
        delivered=delivered,
        undelivered=undelivered,
        failed=failed,
        rate=delivered / ended if ended else None,
        median_seconds=quantile(buckets, 0.5),
    )


def quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """Estimate a quantile of a histogram (bucket → count) by linear interpolation, as Prometheus does; None if it is empty."""
    rank = share * sum(buckets.values())
    if not rank:
        return None
    below, lower = 0, 0.0
    for word, upper in zip(BUCKETS, BOUNDS, strict=False):
        count = buckets.get(word, 0)
        if below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below, lower = below + count, upper
    return lower


def _sums(
    labels: tuple[str, ...],
    *,
    metrics: tuple[Metric, ...],
    owner_id: int | None,
    since: datetime | None,
    until: datetime | None = None,
) -> dict[tuple[Any, ...], tuple[int, float]]:
    """Counts and seconds by the columns `labels`. Any: the columns differ in type.

    One statement, so that a concurrent compaction is included wholly or not at all.
    """
    adapt = connection.ops.adapt_datetimefield_value
    conditions: dict[str, Any] = {} if owner_id is None else {"owner_id = %s": owner_id}
    conditions |= {} if until is None else {"hour < %s": adapt(until)}
    chosen = " AND ".join([f"measure IN ({', '.join(['%s'] * len(metrics))})", *conditions])
    values = [*metrics, *conditions.values()]
    columns = ", ".join(labels)
    sums_of = f"SELECT {columns}, CAST(SUM(count) AS bigint), SUM(seconds) FROM"
    total_hours, journal_hours = ("hour = %s", "hour >= %s") if since is None else ("hour >= %s", "hour >= %s")
    first_total = EVER if since is None else max(since, EVER + timedelta(hours=1))
    parts = (
        f"{sums_of} messaging_rollup WHERE {total_hours} AND {chosen} GROUP BY {columns}",
        f"{sums_of} ({_EXPANDED[connection.vendor]}) AS journal WHERE {journal_hours} AND {chosen} GROUP BY {columns}",
        f"SELECT {', '.join(['NULL'] * len(labels))}, COUNT(*), 0 FROM messaging_countjournal",  # noqa: S608
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), [adapt(first_total), *values, adapt(since or EVER), *values])
        rows = cursor.fetchall()
    sums: dict[tuple[Any, ...], tuple[int, float]] = {}
    for *raw, count, seconds in rows:
        if raw[0] is None:
            rollups.relieve(waiting=count)
            continue
        key = tuple(_time(value) if name == "hour" else value for name, value in zip(labels, raw, strict=True))
        before = sums.get(key, (0, 0.0))
        sums[key] = before[0] + count, before[1] + seconds
    return sums


# The journal as rows like those of `Rollup`: each database has its own functions for JSON.
_EXPANDED = {
    "postgresql": """
        SELECT to_timestamp((entry->>0)::bigint) AS hour, entry->>1 AS measure, (entry->>2)::bigint AS owner_id,
            entry->>3 AS provider_slug, entry->>4 AS word, (entry->>5)::bigint AS count, (entry->>6)::float8 AS seconds
        FROM messaging_countjournal, jsonb_array_elements(counts::jsonb) AS entry""",
    "sqlite": """
        SELECT datetime(json_extract(value, '$[0]'), 'unixepoch') AS hour, json_extract(value, '$[1]') AS measure,
            json_extract(value, '$[2]') AS owner_id, json_extract(value, '$[3]') AS provider_slug,
            json_extract(value, '$[4]') AS word, json_extract(value, '$[5]') AS count, json_extract(value, '$[6]') AS seconds
        FROM messaging_countjournal, json_each(counts)""",
}


def _time(value: datetime | str) -> datetime:
    """SQLite has no type for times: they come as text, or without a time zone."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)
