"""Conversion, the share of started verifications that were approved: figures for people, metrics, and a signal for routing."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from functools import lru_cache

from django.db.models import Q, Sum

from messaging.models import VerificationCount
from messaging.policy import conversion, zones
from messaging.policy.pumping import Share, prefix_of

GROUPS = ("prefix", "country", "provider")
REFRESH_SECONDS = 60.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Routing compares the codes of one day, without those of the last minutes, which are still being typed.
TYPING = timedelta(minutes=15)
# A collapse is seen in the last hours, beside the week before.
RECENT, USUAL = timedelta(hours=3), timedelta(days=7)
# Digits that make a whole number of a prefix, so that the country of an area code is found.
_REST = "2345678"


@dataclass(frozen=True, slots=True)
class Conversion:
    """Of one group: `group` has the value of each column that was asked for. `missing` is compared with all groups together."""

    group: Mapping[str, str]
    share: Share
    missing: float = 0.0

    @property
    def percentage(self) -> str:
        return conversion.percentage(self.share)

    @property
    def interval(self) -> str:
        return conversion.interval_in_words(self.share)


@lru_cache(maxsize=10_000)
def country_of(prefix: str) -> str:
    """Two letters; `001` for a prefix of no country; empty for an unknown one."""
    return zones.location_of(prefix + _REST).country


def sums(*, since: date, until: date, group_by: Sequence[str], limit: int) -> tuple[list[Conversion], Share]:
    """The figures of these days of UTC, both included, by group, and of all of them together.

    At most `limit` groups, those with the most codes that were not confirmed but usually are. One query; it reads a row for
    each hour, prefix and account.
    """
    begin = datetime.combine(since, wall_time(), tzinfo=UTC)
    rows = VerificationCount.objects.filter(hour__gte=begin)
    if until < date.max:
        rows = rows.filter(hour__lt=datetime.combine(until, wall_time(), tzinfo=UTC) + DAY)
    counts: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    totals = rows.order_by().values_list("prefix", "provider_slug")
    for prefix, slug, started, approved in totals.annotate(begun=Sum("started"), done=Sum("approved")):
        values = {"prefix": prefix, "country": country_of(prefix), "provider": slug}
        sum_of = counts[tuple(values[name] for name in group_by)]
        sum_of[0] += started
        sum_of[1] += approved
    whole = Share(sum(sum_of[0] for sum_of in counts.values()), sum(sum_of[1] for sum_of in counts.values()))
    found = [
        Conversion(dict(zip(group_by, key, strict=True)), share, conversion.missing(share, whole))
        for key, (started, approved) in counts.items()
        if (share := Share(started, approved)).started or approved
    ]
    found.sort(key=lambda row: (-row.missing, -row.share.started, *row.group.values()))
    return found[:limit], whole


# --- What each process keeps in memory for a minute -------------------------------------------------------------------


@dataclass(slots=True)
class _Kept:
    """`value` as it was at `read_at`, on the monotonic clock."""

    value: dict[str, dict[str, float]] = field(default_factory=dict)
    read_at: float = 0.0


class _Memory:
    """One thread reads; the others use what was read last meanwhile."""

    def __init__(self) -> None:
        self._kept = _Kept()
        self._lock = threading.Lock()

    def factors(self, number: str, now: datetime) -> Mapping[str, float]:
        """By account, what scales its weight for a code to this number; accounts that are as good as others are left out."""
        kept = self._kept
        is_old = not kept.read_at or time.monotonic() - kept.read_at >= REFRESH_SECONDS
        if is_old and self._lock.acquire(blocking=not kept.read_at):
            try:
                if self._kept is kept:
                    self._kept = kept = _Kept(read_factors(now), time.monotonic())
                kept = self._kept
            finally:
                self._lock.release()
        return kept.value.get(prefix_of(number), {}) if kept.value else {}

    def forget(self) -> None:
        self._kept = _Kept()


def read_factors(now: datetime) -> dict[str, dict[str, float]]:
    """By prefix and account, of the last day. One query."""
    until = _hour_of(now - TYPING)
    rows = VerificationCount.objects.filter(hour__gte=until - DAY, hour__lt=until).exclude(provider_slug="")
    shares: dict[str, dict[str, Share]] = defaultdict(dict)
    found = rows.order_by().values_list("prefix", "provider_slug").annotate(begun=Sum("started"), done=Sum("approved"))
    for prefix, slug, started, approved in found.filter(begun__gte=conversion.MIN_STARTED):
        shares[prefix][slug] = Share(started, approved)
    judged = {prefix: conversion.factors(of_accounts) for prefix, of_accounts in shares.items()}
    return {prefix: factors for prefix, factors in judged.items() if factors}


_memory = _Memory()
factors = _memory.factors
forget = _memory.forget


# --- Metrics ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recent:
    """One account in one country: its verifications of the last hours, and how many prefixes have collapsed."""

    country: str
    provider: str
    share: Share
    collapsed: int


def recent(*, now: datetime) -> list[Recent]:
    """The last two full hours and this one, by country and account. One query, of the rows of a week."""
    begin = _hour_of(now) - RECENT + HOUR
    rows = VerificationCount.objects.filter(hour__gte=begin - USUAL).order_by().values_list("prefix", "provider_slug")
    sums_of = rows.annotate(
        begun=Sum("started", filter=Q(hour__gte=begin), default=0),
        done=Sum("approved", filter=Q(hour__gte=begin), default=0),
        usually_begun=Sum("started", filter=Q(hour__lt=begin), default=0),
        usually_done=Sum("approved", filter=Q(hour__lt=begin), default=0),
    )
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for prefix, slug, started, approved, usually_started, usually_approved in sums_of:
        counts = found[country_of(prefix), slug]
        counts[0] += started
        counts[1] += approved
        counts[2] += conversion.has_collapsed(Share(started, approved), Share(usually_started, usually_approved))
    return [
        Recent(country, slug, Share(started, approved), collapsed)
        for (country, slug), (started, approved, collapsed) in sorted(found.items())
    ]


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
