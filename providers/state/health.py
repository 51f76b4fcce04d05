"""Call results, latencies and delivery receipts per account, in 10-second buckets.

A bucket is a hash in Redis that all workers increment and that expires, so the counts survive a restart. Only a failure of the
account itself counts as a fault: a refused text or recipient and a rate limit do not.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import redis
from redis.client import Pipeline

from providers.errors import RateLimited, Refused, Rejected, SendError, Unavailable
from providers.state import shared_state

BUCKET_SECONDS = 10
TTL_SECONDS = 20 * 60
# Routing uses the last 5 minutes; the weight of a bucket halves with each minute of its age.
ROUTING_BUCKETS = 30
HALF_LIFE_SECONDS = 60.0
# Upper bounds in milliseconds, each the square root of 2 times the previous: a median is accurate to about 20 %.
LATENCY_BOUNDS = tuple(round(10 * 2 ** (step / 2)) for step in range(23))
LATENCY = "ms"


class CallOutcome(StrEnum):
    """The result of one call, for the health of the account. `REJECTED`: the provider refuses the text or its recipient."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class ReceiptOutcome(StrEnum):
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


ANSWERED = frozenset({CallOutcome.ACCEPTED, CallOutcome.REJECTED})
FAULTS = frozenset({CallOutcome.UNAVAILABLE, CallOutcome.UNKNOWN})

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Window:
    """The counts of the last so many minutes. Rates are from 0 to 1, and None without data."""

    calls: int
    by_outcome: Mapping[str, int]
    error_rate: float | None
    refusal_rate: float | None
    median_latency_ms: int | None
    delivery_rate: float | None


def outcome_of(error: SendError | None) -> CallOutcome:
    if error is None:
        return CallOutcome.ACCEPTED
    if isinstance(error, RateLimited):
        return CallOutcome.LIMITED
    if isinstance(error, (Refused, Rejected)):
        return CallOutcome.REJECTED
    return CallOutcome.UNAVAILABLE if isinstance(error, Unavailable) else CallOutcome.UNKNOWN


def count_calls(calls: Iterable[tuple[CallOutcome, int]]) -> Counter[str]:
    """The counters of these calls, each given with its latency in milliseconds."""
    counts: Counter[str] = Counter()
    for outcome, latency_ms in calls:
        counts[outcome] += 1
        counts[f"{LATENCY}{bisect_left(LATENCY_BOUNDS, latency_ms)}"] += 1
    return counts


def add(pipe: Pipeline, slug: str, counts: Counts, *, now: float) -> None:
    """Queue the commands that add `counts` to the bucket of `now` (seconds since 1970)."""
    bucket = _key(slug, int(now // BUCKET_SECONDS))
    for name, count in counts.items():
        pipe.hincrby(bucket, name, count)
    pipe.expire(bucket, TTL_SECONDS)


def buckets(slug: str, *, now: float, count: int) -> list[str]:
    """The keys of the last `count` buckets, newest first."""
    newest = int(now // BUCKET_SECONDS)
    return [_key(slug, newest - age) for age in range(count)]


def decayed(found: Sequence[Mapping[str, str]], *, now: float) -> tuple[float, float]:
    """Calls and faults in `found` (buckets, newest first), weighted by the age of their bucket."""
    newest = int(now // BUCKET_SECONDS)
    calls = faults = 0.0
    for index, counts in enumerate(found):
        if counts:
            age = max(0.0, now - (newest - index + 1) * BUCKET_SECONDS)
            weight = 0.5 ** (age / HALF_LIFE_SECONDS)
            bad = sum(int(counts.get(name, 0)) for name in FAULTS)
            faults += weight * bad
            calls += weight * (bad + sum(int(counts.get(name, 0)) for name in ANSWERED))
    return calls, faults


def windows(slugs: Sequence[str], *, now: float, minutes: Sequence[int]) -> dict[str, list[Window]]:
    """For each slug a window for each of `minutes`; without calls while Redis is unavailable."""
    count = max(minutes) * 60 // BUCKET_SECONDS
    found = _read({slug: buckets(slug, now=now, count=count) for slug in slugs})
    return {slug: [_window(found[slug][: each * 60 // BUCKET_SECONDS]) for each in minutes] for slug in slugs}


def reset(pipe: Pipeline, slug: str, *, now: float) -> None:
    """Queue the command that deletes all counts."""
    pipe.delete(*buckets(slug, now=now, count=TTL_SECONDS // BUCKET_SECONDS))


def _read(keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, str]]]:
    """The counts of the buckets by slug, in one round trip."""

    def read(client: redis.Redis) -> list[dict[str, str]]:
        with client.pipeline(transaction=False) as pipe:
            for names in keys.values():
                for name in names:
                    pipe.hgetall(name)
            replies: list[dict[str, str]] = pipe.execute()
            return replies

    empty: list[dict[str, str]] = [{}] * sum(map(len, keys.values()))
    rows = iter(shared_state.ask(read, otherwise=empty))
    return {slug: [next(rows) for _ in names] for slug, names in keys.items()}


def _window(found: Sequence[Mapping[str, str]]) -> Window:
    counts: Counter[str] = Counter()
    for bucket in found:
        counts.update({name: int(value) for name, value in bucket.items()})
    by_outcome = {outcome.value: counts[outcome] for outcome in CallOutcome}
    faults = sum(counts[outcome] for outcome in FAULTS)
    answered_or_failed = faults + sum(counts[outcome] for outcome in ANSWERED)
    receipts = counts[ReceiptOutcome.DELIVERED] + counts[ReceiptOutcome.UNDELIVERED]
    return Window(
        calls=sum(by_outcome.values()),
        by_outcome=by_outcome,
        error_rate=faults / answered_or_failed if answered_or_failed else None,
        refusal_rate=counts[CallOutcome.REJECTED] / answered_or_failed if answered_or_failed else None,
        median_latency_ms=_median(counts),
        delivery_rate=counts[ReceiptOutcome.DELIVERED] / receipts if receipts else None,
    )


def _median(counts: Counts) -> int | None:
    """The median in milliseconds, interpolated within its step of the histogram; None without calls."""
    steps = [counts.get(f"{LATENCY}{step}", 0) for step in range(len(LATENCY_BOUNDS) + 1)]
    left = sum(steps) / 2
    if not left:
        return None
    for step, count in enumerate(steps[:-1]):
        if left <= count:
            low = LATENCY_BOUNDS[step - 1] if step else 0
            return round(low + (LATENCY_BOUNDS[step] - low) * left / count)
        left -= count
    return LATENCY_BOUNDS[-1]


def _key(slug: str, bucket: int) -> str:
    return shared_state.key(slug, "health", bucket)
