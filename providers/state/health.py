"""How an account does: what came of its calls, how long they took, and what receipts say, in buckets of ten seconds.

A bucket is a hash in Redis that all workers count up and that ends by itself, so old data fades and a restart forgets
nothing. Only what is the account's own fault is a fault: a refused recipient is not, nor is a limit that it has told us.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import redis
from redis.client import Pipeline

from providers.errors import RateLimited, Rejected, SendError, Unavailable
from providers.state import shared_state

BUCKET_SECONDS = 10
KEPT_SECONDS = 20 * 60
# Routing looks at the last five minutes, and at each minute half as hard as at the one after it.
ROUTING_BUCKETS = 30
HALF_LIFE_SECONDS = 60.0
# Upper bounds in milliseconds, each the square root of two from the next: a median is right to about a fifth.
LATENCY_BOUNDS = tuple(round(10 * 2 ** (step / 2)) for step in range(23))
LATENCY = "ms"


class CallOutcome(StrEnum):
    """What came of one call, from the account's point of view."""

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
    """One stretch of time. Rates are from 0 to 1; what nothing is known about is None."""

    calls: int
    by_outcome: Mapping[str, int]
    error_rate: float | None
    median_latency_ms: int | None
    delivery_rate: float | None


def outcome_of(error: SendError | None) -> CallOutcome:
    if error is None:
        return CallOutcome.ACCEPTED
    if isinstance(error, RateLimited):
        return CallOutcome.LIMITED
    if isinstance(error, Unavailable):
        return CallOutcome.UNAVAILABLE
    return CallOutcome.REJECTED if isinstance(error, Rejected) else CallOutcome.UNKNOWN


def count_calls(calls: Iterable[tuple[CallOutcome, int]]) -> Counter[str]:
    """What to count for these calls, each with its latency in milliseconds."""
    counts: Counter[str] = Counter()
    for outcome, latency_ms in calls:
        counts[outcome] += 1
        counts[f"{LATENCY}{bisect_left(LATENCY_BOUNDS, latency_ms)}"] += 1
    return counts


def add(pipe: Pipeline, slug: str, counts: Counts, *, now: float) -> None:
    """Queue the commands that count into the bucket of `now` (seconds since 1970)."""
    bucket = _key(slug, int(now // BUCKET_SECONDS))
    for name, count in counts.items():
        pipe.hincrby(bucket, name, count)
    pipe.expire(bucket, KEPT_SECONDS)


def buckets(slug: str, *, now: float, count: int) -> list[str]:
    """The keys of the last `count` buckets, the youngest first."""
    newest = int(now // BUCKET_SECONDS)
    return [_key(slug, newest - age) for age in range(count)]


def faded(found: Sequence[Mapping[str, str]], *, now: float) -> tuple[float, float]:
    """Calls and faults in buckets from the youngest on, each bucket weighing less with its age."""
    newest = int(now // BUCKET_SECONDS)
    calls = faults = 0.0
    for place, counts in enumerate(found):
        if counts:
            age = max(0.0, now - (newest - place + 1) * BUCKET_SECONDS)
            weight = 0.5 ** (age / HALF_LIFE_SECONDS)
            bad = sum(int(counts.get(name, 0)) for name in FAULTS)
            faults += weight * bad
            calls += weight * (bad + sum(int(counts.get(name, 0)) for name in ANSWERED))
    return calls, faults


def windows(slugs: Sequence[str], *, now: float, minutes: Sequence[int]) -> dict[str, list[Window]]:
    """What is known of the last so many minutes, for people, by slug; windows without calls while Redis is away."""
    count = max(minutes) * 60 // BUCKET_SECONDS
    found = _read({slug: buckets(slug, now=now, count=count) for slug in slugs})
    return {slug: [_window(found[slug][: each * 60 // BUCKET_SECONDS]) for each in minutes] for slug in slugs}


def forget(pipe: Pipeline, slug: str, *, now: float) -> None:
    """Queue the command that begins anew."""
    pipe.delete(*buckets(slug, now=now, count=KEPT_SECONDS // BUCKET_SECONDS))


def _read(keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, str]]]:
    """The buckets' counts by account, in one round trip."""

    def act(client: redis.Redis) -> list[dict[str, str]]:
        with client.pipeline(transaction=False) as pipe:
            for names in keys.values():
                for name in names:
                    pipe.hgetall(name)
            return pipe.execute()

    total = sum(map(len, keys.values()))
    rows = iter(shared_state.ask(act, otherwise=[{}] * total))
    return {slug: [next(rows) for _ in names] for slug, names in keys.items()}


def _window(found: Sequence[Mapping[str, str]]) -> Window:
    counts: Counter[str] = Counter()
    for bucket in found:
        counts.update({name: int(value) for name, value in bucket.items()})
    by_outcome = {outcome.value: counts[outcome] for outcome in CallOutcome}
    faults = sum(counts[outcome] for outcome in FAULTS)
    judged = faults + sum(counts[outcome] for outcome in ANSWERED)
    receipts = counts[ReceiptOutcome.DELIVERED] + counts[ReceiptOutcome.UNDELIVERED]
    return Window(
        calls=sum(by_outcome.values()),
        by_outcome=by_outcome,
        error_rate=faults / judged if judged else None,
        median_latency_ms=_median(counts),
        delivery_rate=counts[ReceiptOutcome.DELIVERED] / receipts if receipts else None,
    )


def _median(counts: Counts) -> int | None:
    """Within its step of the histogram, as if the calls of the step were spread evenly over it."""
    steps = [counts.get(f"{LATENCY}{place}", 0) for place in range(len(LATENCY_BOUNDS) + 1)]
    left = sum(steps) / 2
    if not left:
        return None
    for place, count in enumerate(steps[:-1]):
        if left <= count:
            low = LATENCY_BOUNDS[place - 1] if place else 0
            return round(low + (LATENCY_BOUNDS[place] - low) * left / count)
        left -= count
    return LATENCY_BOUNDS[-1]


def _key(slug: str, bucket: int) -> str:
    return shared_state.key(slug, "health", bucket)
