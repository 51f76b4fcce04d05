"""The current state of the accounts for routing: health, circuits and pauses, updated by the results of each batch of calls.

Each read is one round trip to Redis, cached for a second in each process; each batch is written in one round trip.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import redis
from redis.client import Pipeline

from providers import routing
from providers.errors import CredentialsRefused, Misconfigured, RateLimited, SendError
from providers.state import circuit_breaker, health, rate_limit, shared_state
from providers.state.circuit_breaker import CLOSED, Circuit, Step
from providers.state.health import CallOutcome

CACHE_SECONDS = 1.0
# How long messages wait before they check a circuit again that an operator holds open.
HELD_WAIT_SECONDS = 30.0
NEEDS_OPERATOR = (CredentialsRefused, Misconfigured)


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account. The default, also while Redis is unavailable: healthy, with a closed circuit, not paused.

    `factor` scales the weight (above 0, up to 1); `paused_until` is in seconds since 1970.
    """

    factor: float = 1.0
    circuit: circuit_breaker.CircuitState = CLOSED
    paused_until: float = 0.0

    def wait(self, now: datetime) -> float:
        """Seconds until the account may be called; 0 when it may be called now, even if only with a probe."""
        timestamp = now.timestamp()
        until_open = HELD_WAIT_SECONDS if self.circuit.is_held else (self.circuit.until or 0.0) - timestamp
        is_open = self.circuit.at(timestamp) is Circuit.OPEN
        return max(0.0, self.paused_until - timestamp, until_open if is_open else 0.0)


DEFAULT_STATE = AccountState()


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a call that was made; `error` is None when the provider accepted."""

    slug: str
    error: SendError | None = field(repr=False)
    latency_ms: int
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that opened or closed."""

    slug: str
    step: Step
    detail: str = ""
    needs_operator: bool = False


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at = 0.0
        self.states: Mapping[str, AccountState] = {}


_cache = _Cache()


def cached(slugs: Iterable[str], *, now: datetime) -> Mapping[str, AccountState]:
    """The states by slug, at most a second old; it may contain other accounts too."""
    wanted, timestamp = sorted(slugs), now.timestamp()
    with _cache.lock:
        if 0 <= timestamp - _cache.read_at < CACHE_SECONDS and _cache.states.keys() >= set(wanted):
            return _cache.states
    found = fetch(wanted, now=now)
    with _cache.lock:
        _cache.read_at, _cache.states = timestamp, found
    return found


def invalidate() -> None:
    """Make the next `cached` read from Redis: after an operator's action, and between tests."""
    with _cache.lock:
        _cache.read_at, _cache.states = 0.0, {}


def fetch(slugs: Sequence[str], *, now: datetime) -> Mapping[str, AccountState]:
    """The states by slug, read from Redis in one round trip."""
    timestamp = now.timestamp()
    size = health.ROUTING_BUCKETS

    def read(client: redis.Redis) -> list[Any]:
        with client.pipeline(transaction=False) as pipe:
            for slug in slugs:
                circuit_breaker.read(pipe, slug)
                rate_limit.read_pause(pipe, slug)
                for bucket in health.buckets(slug, now=timestamp, count=size):
                    pipe.hgetall(bucket)
            return pipe.execute()

    replies = shared_state.ask(read, otherwise=None)
    if replies is None:
        return dict.fromkeys(slugs, DEFAULT_STATE)
    rows = [replies[start : start + size + 2] for start in range(0, len(replies), size + 2)]
    return {slug: _parsed(row, timestamp) for slug, row in zip(slugs, rows, strict=True)}


def _parsed(row: list[Any], timestamp: float) -> AccountState:
    """`row` has the replies of Redis for one account, each of its own type: the circuit, the pause, the buckets."""
    circuit, paused_until, *counts = row
    return AccountState(
        factor=routing.health_factor(*health.decayed(counts, now=timestamp)),
        circuit=circuit_breaker.parsed(circuit),
        paused_until=float(paused_until or 0),
    )


def record(calls: Iterable[CallResult], *, now: datetime) -> list[CircuitChange]:
    """Count the results of these calls, and update circuits and pauses. Returns the circuits that opened or closed."""
    timestamp = now.timestamp()
    slug_of = attrgetter("slug")
    by_slug = {slug: list(group) for slug, group in groupby(sorted(calls, key=slug_of), key=slug_of)}
    if not by_slug:
        return []

    def write(client: redis.Redis) -> list[str]:
        with client.pipeline(transaction=False) as pipe:
            for slug, results in by_slug.items():
                _add(pipe, slug, results, timestamp)
            # Of each account only the last command, the circuit's, replies with a text.
            return [reply for reply in pipe.execute() if isinstance(reply, str)]

    no_replies: list[str] = []
    steps = [Step(reply) for reply in shared_state.ask(write, otherwise=no_replies)]
    changes = [
        CircuitChange(slug, step, _worst(results), any(isinstance(call.error, NEEDS_OPERATOR) for call in results))
        for (slug, results), step in zip(by_slug.items(), steps, strict=False)
        if step in {Step.OPENED, Step.CLOSED}
    ]
    if any(steps) or any(isinstance(call.error, RateLimited) for results in by_slug.values() for call in results):
        invalidate()
    return changes


def _add(pipe: Pipeline, slug: str, results: Sequence[CallResult], timestamp: float) -> None:
    outcomes = [health.outcome_of(call.error) for call in results]
    counts = health.count_calls((outcome, call.latency_ms) for outcome, call in zip(outcomes, results, strict=True))
    health.add(pipe, slug, counts, now=timestamp)
    errors = [call.error for call in results if isinstance(call.error, RateLimited)]
    pauses = [error.retry_after for error in errors if error.retry_after]
    if pauses:
        rate_limit.pause(pipe, slug, seconds=max(pauses), now=timestamp)
    circuit_breaker.record(
        pipe,
        slug,
        answered=sum(counts[outcome] for outcome in health.ANSWERED),
        faults=sum(counts[outcome] for outcome in health.FAULTS),
        refused=any(isinstance(call.error, NEEDS_OPERATOR) for call in results),
        probe=_probe(results, outcomes),
        reason=_worst(results),
        now=timestamp,
    )


def _probe(results: Sequence[CallResult], outcomes: Sequence[CallOutcome]) -> str:
    """The result of the probe among the calls, "" without one. A rate limit is a success: the provider responds."""
    for call, outcome in zip(results, outcomes, strict=True):
        if call.is_probe:
            return "fault" if outcome in health.FAULTS else "ok"
    return ""


def _worst(results: Sequence[CallResult]) -> str:
    """The code and the detail of the last fault, those that need an operator first; "" without one."""
    faults = [call.error for call in results if call.error and health.outcome_of(call.error) in health.FAULTS]
    faults.sort(key=lambda error: isinstance(error, NEEDS_OPERATOR))
    return f"{faults[-1].error_code}: {faults[-1].detail}" if faults else ""


def reset(slug: str, *, now: datetime) -> bool:
    """Close the circuit, end a pause, and delete counts and bookings. False, and no change, while Redis is unavailable."""

    def write(client: redis.Redis) -> bool:
        with client.pipeline() as pipe:
            circuit_breaker.close(pipe, slug)
            rate_limit.forget(pipe, slug)
            health.reset(pipe, slug, now=now.timestamp())
            pipe.execute()
        return True

    done = shared_state.ask(write, otherwise=False)
    invalidate()
    return done


def record_receipt(slug: str, receipt: health.ReceiptOutcome, *, now: datetime) -> None:
    """Count a delivery receipt of the account."""

    def write(client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            health.add(pipe, slug, {receipt: 1}, now=now.timestamp())
            pipe.execute()

    shared_state.ask(write, otherwise=None)
