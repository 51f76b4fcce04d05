"""The current state of the accounts for routing: health, circuits and pauses, updated by the results of each batch of calls.

Each read is one round trip to Redis, cached for a second in each process; each batch is written in one round trip.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import redis
from redis.client import Pipeline

from providers import routing
from providers.errors import AccountRefused, CredentialsRefused, Misconfigured, RateLimited, SendError
from providers.state import circuit_breaker, health, rate_limit, recipients, shared_state
from providers.state.circuit_breaker import CLOSED, BatchResults, Circuit, Step
from providers.state.health import CallOutcome

CACHE_SECONDS = 1.0
# How long messages wait before they check a circuit again that an operator holds open.
HELD_WAIT_SECONDS = 30.0
NEEDS_OPERATOR = (CredentialsRefused, Misconfigured)


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account. The default, also while Redis is unavailable: healthy, with a closed circuit, not paused.

    `factor` scales the weight (above 0, up to 1); `paused_until` is in seconds since 1970. `refuses_many`: nearly all
    recipients were refused, which does not change its use.
    """

    factor: float = 1.0
    circuit: circuit_breaker.CircuitState = CLOSED
    paused_until: float = 0.0
    refuses_many: bool = False

    def wait(self, now: datetime) -> float:
        """Seconds until the account may be called; 0 when it may be called now, even if only with a probe."""
        timestamp = now.timestamp()
        until_open = HELD_WAIT_SECONDS if self.circuit.is_held else (self.circuit.until or 0.0) - timestamp
        is_open = self.circuit.at(timestamp) is Circuit.OPEN
        return max(0.0, self.paused_until - timestamp, until_open if is_open else 0.0)


DEFAULT_STATE = AccountState()


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a call that was made; `error` is None when the provider accepted.

    A call without a `recipient` (E.164) is left out where recipients are counted.
    """

    slug: str
    error: SendError | None = field(repr=False)
    latency_ms: int
    is_probe: bool = False
    recipient: str = field(default="", repr=False)

    @property
    def outcome(self) -> CallOutcome:
        return health.outcome_of(self.error)


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that opened or closed."""

    slug: str
    step: Step
    detail: str = ""
    needs_operator: bool = False


@dataclass(frozen=True, slots=True)
class RefusalChange:
    """An account that began to refuse nearly all recipients, or that accepts most of them again."""

    slug: str
    refuses_many: bool
    detail: str = ""


Change = CircuitChange | RefusalChange


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
                recipients.read(pipe, slug)
                for bucket in health.buckets(slug, now=timestamp, count=size):
                    pipe.hgetall(bucket)
            return pipe.execute()

    replies = shared_state.ask(read, otherwise=None)
    if replies is None:
        return dict.fromkeys(slugs, DEFAULT_STATE)
    rows = [replies[start : start + size + 3] for start in range(0, len(replies), size + 3)]
    return {slug: _parsed(row, timestamp) for slug, row in zip(slugs, rows, strict=True)}


def _parsed(row: list[Any], timestamp: float) -> AccountState:
    """`row` has the replies of Redis for one account, each of its own type: the circuit, the pause, the mark, the buckets."""
    circuit, paused_until, refuses_many, *counts = row
    return AccountState(
        factor=routing.health_factor(*health.decayed(counts, now=timestamp)),
        circuit=circuit_breaker.parsed(circuit),
        paused_until=float(paused_until or 0),
        refuses_many=refuses_many is not None,
    )


def record(calls: Iterable[CallResult], *, now: datetime) -> list[Change]:
    """Count the results of these calls, and update circuits and pauses. Returns what staff should know."""
    timestamp = now.timestamp()
    slug_of = attrgetter("slug")
    by_slug = {slug: list(group) for slug, group in groupby(sorted(calls, key=slug_of), key=slug_of)}
    if not by_slug:
        return []

    def write(client: redis.Redis) -> list[str]:
        with client.pipeline(transaction=False) as pipe:
            for slug, results in by_slug.items():
                _add(pipe, slug, results, timestamp)
            # Of each account only the last two commands, of the recipients and of the circuit, reply with a text.
            return [reply for reply in pipe.execute() if isinstance(reply, str)]

    no_replies: list[str] = []
    replies = iter(shared_state.ask(write, otherwise=no_replies))
    changes: list[Change] = []
    is_outdated = any(isinstance(call.error, RateLimited) for results in by_slug.values() for call in results)
    for (slug, results), refusals, circuit in zip(by_slug.items(), replies, replies, strict=False):
        is_outdated = is_outdated or bool(refusals or circuit)
        changes += _changes(slug, results, recipients.RefusalStep(refusals), Step(circuit))
    if is_outdated:
        invalidate()
    return changes


def _changes(
    slug: str, results: Sequence[CallResult], refusals: recipients.RefusalStep, circuit: Step
) -> Iterator[Change]:
    if refusals is recipients.RefusalStep.MANY:
        refused = [call.error for call in results if call.outcome is CallOutcome.REJECTED]
        yield RefusalChange(slug, refuses_many=True, detail=_described(refused[-1]))
    elif refusals is recipients.RefusalStep.FEW:
        yield RefusalChange(slug, refuses_many=False)
    if circuit is Step.NEEDS_OPERATOR:
        yield CircuitChange(slug, Step.OPENED, _worst(results), needs_operator=True)
    elif circuit in {Step.OPENED, Step.CLOSED}:
        yield CircuitChange(slug, circuit, _worst(results))


def _add(pipe: Pipeline, slug: str, results: Sequence[CallResult], timestamp: float) -> None:
    counts = health.count_calls((call.outcome, call.latency_ms) for call in results)
    health.add(pipe, slug, counts, now=timestamp)
    errors = [call.error for call in results if isinstance(call.error, RateLimited)]
    pauses = [error.retry_after for error in errors if error.retry_after]
    if pauses:
        rate_limit.pause(pipe, slug, seconds=max(pauses), now=timestamp)
    recipients.record(
        pipe,
        slug,
        answered=_recipients(call for call in results if call.outcome in health.ANSWERED),
        refused=_recipients(call for call in results if call.outcome is CallOutcome.REJECTED),
        now=timestamp,
    )
    batch = BatchResults(
        answered=sum(counts[outcome] for outcome in health.ANSWERED),
        faults=sum(counts[outcome] for outcome in health.FAULTS),
        accepted=counts[CallOutcome.ACCEPTED],
        needs_operator=any(isinstance(call.error, NEEDS_OPERATOR) for call in results),
        refused=_recipients(call for call in results if isinstance(call.error, AccountRefused)),
        probe=next((_probe(call) for call in results if call.is_probe), ""),
        reason=_worst(results),
    )
    circuit_breaker.record(pipe, slug, batch, now=timestamp)


def _recipients(calls: Iterable[CallResult]) -> frozenset[str]:
    return frozenset(recipients.fingerprint(call.recipient) for call in calls if call.recipient)


def _probe(call: CallResult) -> str:
    """The result of a probe. A rate limit is a success: the provider responds."""
    if isinstance(call.error, AccountRefused):
        return "refused"
    return "fault" if call.outcome in health.FAULTS else "ok"


def _worst(results: Sequence[CallResult]) -> str:
    """The last error for which a circuit opens, those that need an operator first; "" without one."""
    errors = [call.error for call in results if call.outcome in health.FAULTS or isinstance(call.error, AccountRefused)]
    errors.sort(key=lambda error: isinstance(error, (*NEEDS_OPERATOR, AccountRefused)))
    return _described(errors[-1]) if errors else ""


def _described(error: SendError | None) -> str:
    return f"{error.error_code}: {error.detail}" if error else ""


def reset(slug: str, *, now: datetime) -> bool:
    """Close the circuit, end a pause, and delete counts and bookings. False, and no change, while Redis is unavailable."""

    def write(client: redis.Redis) -> bool:
        with client.pipeline() as pipe:
            circuit_breaker.close(pipe, slug)
            rate_limit.forget(pipe, slug)
            health.reset(pipe, slug, now=now.timestamp())
            recipients.reset(pipe, slug, now=now.timestamp())
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
