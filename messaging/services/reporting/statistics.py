"""What the rollups tell: one query each, however many messages there are."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Sum

from messaging import states
from messaging.models import Rollup
from messaging.models.rollup import EVER
from messaging.services.reporting.rollups import BOUNDS, BUCKETS, hour_of
from messaging.states import Status

Metric = Rollup.Metric

# How each measure changes the number of messages that have a status.
SIGNS = {Metric.ENTERED: 1, Metric.LEFT: -1, Metric.REMOVED: -1}


@dataclass(frozen=True, slots=True)
class Statistics:
    """`processed` and `average_seconds` are about the time from `since` on (None: ever), the others about now."""

    processed: int
    queue_size: int
    average_seconds: float | None
    by_status: Mapping[Status, int]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ProviderDelivery:
    """How messages of one provider ended. The rate is of those that ended; both figures are None where nothing has."""

    slug: str
    delivered: int
    undelivered: int
    failed: int
    rate: float | None
    median_seconds: float | None


class Total(NamedTuple):
    metric: Metric
    provider_slug: str
    word: str
    count: int
    seconds: float


class HourlyCount(NamedTuple):
    hour: datetime
    status: Status
    count: int


def statistics(*, owner_id: int | None, since: datetime | None) -> Statistics:
    """Of one owner's messages, or of all (None). `since` is rounded down to its hour.

    Processed is what has come to an end: an outbound message in a final status, an inbound one that is `processed`. One that an
    operator has put back is not, until it ends again; one that was erased since still is. The average is from the moment a
    message was due until it ended.
    """
    start = None if since is None else hour_of(since)
    ended = totals(owner_id=owner_id, since=start, metrics=(Metric.ENTERED, Metric.LEFT))
    final = [total for total in ended if total.word in states.FINAL]
    entered = [total for total in final if total.metric == Metric.ENTERED]
    count = sum(total.count for total in entered)
    put_back = sum(total.count for total in final if total.metric == Metric.LEFT)
    by_status = current(owner_id=owner_id)
    return Statistics(
        processed=max(0, count - put_back),
        queue_size=sum(by_status[status] for status in states.IN_QUEUE),
        average_seconds=sum(total.seconds for total in entered) / count if count else None,
        by_status=by_status,
        since=start,
    )


def current(*, owner_id: int | None = None) -> dict[Status, int]:
    """How many messages have each status now."""
    return current_of(totals(owner_id=owner_id, metrics=tuple(SIGNS)))


def current_of(found: Iterable[Total]) -> dict[Status, int]:
    """The same, of totals that are at hand: what came, less what went."""
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
    """Sums by measure, provider and word, of an owner or of all, from the hour `since` on or ever."""
    sums = _sums(("measure", "provider_slug", "word"), metrics=metrics, owner_id=owner_id, since=since)
    return [Total(Metric(metric), slug, word, *sums[metric, slug, word]) for metric, slug, word in sorted(sums)]


def hourly(*, since: datetime, owner_id: int | None = None) -> list[HourlyCount]:
    """How many messages came to each status in each hour, oldest first; hours in which nothing happened are left out."""
    sums = _sums(("hour", "word"), metrics=(Metric.ENTERED,), owner_id=owner_id, since=hour_of(since))
    return [HourlyCount(hour, Status(word), sums[hour, word][0]) for hour, word in sorted(sums)]


def by_provider(*, since: datetime) -> list[ProviderDelivery]:
    """How each provider has delivered since that hour, in the order of their slugs."""
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
    """From a histogram (bucket → count), by a straight line within the bucket, as Prometheus does; None of nothing."""
    wanted = share * sum(buckets.values())
    if not wanted:
        return None
    below, lower = 0, 0.0
    for word, upper in zip(BUCKETS, BOUNDS, strict=False):
        count = buckets.get(word, 0)
        if below + count >= wanted:
            return lower + (upper - lower) * (wanted - below) / count
        below, lower = below + count, upper
    return lower


def _sums(
    labels: tuple[str, ...], *, metrics: tuple[Metric, ...], owner_id: int | None, since: datetime | None
) -> dict[tuple, tuple[int, float]]:
    """Counts and seconds by these columns.

    One statement, so that a fold that commits meanwhile is in the sums either wholly or not at all; in two parts, so that each
    has its index.
    """
    hours = {"hour": EVER} if since is None else {"hour__gte": max(since, EVER + timedelta(hours=1))}
    folded = Rollup.objects.filter(folded=True, **hours)
    fresh = Rollup.objects.filter(folded=False, hour__gte=since or EVER)
    owners = {} if owner_id is None else {"owner_id": owner_id}
    parts = [
        rows.filter(measure__in=metrics, **owners)
        .order_by()
        .values_list(*labels)
        .annotate(total=Sum("count"), time=Sum("seconds"))
        for rows in (folded, fresh)
    ]
    sums: dict[tuple, tuple[int, float]] = {}
    for *key, count, seconds in parts[0].union(parts[1], all=True):
        before = sums.get(tuple(key), (0, 0.0))
        sums[tuple(key)] = before[0] + count, before[1] + seconds
    return sums
