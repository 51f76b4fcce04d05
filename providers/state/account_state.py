"""What routing has to know of the accounts at this moment, and what it learns from each batch of calls.

Read in one round trip and kept for a second in each process; written in one round trip for each batch.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

import redis

from providers import routing
from providers.errors import CredentialsRefused, Misconfigured, RateLimited, SendError
from providers.state import circuit_breaker, health, rate_limit, shared_state
from providers.state.circuit_breaker import CLOSED, Circuit, Step
from providers.state.health import CallOutcome

KEPT_FOR_SECONDS = 1.0
# How long messages wait before they look again at a circuit that a person holds open.
HELD_WAIT_SECONDS = 30.0
OPERATORS_AFFAIR = (CredentialsRefused, Misconfigured)


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account. Without news, or while Redis is away: healthy, closed and not paused."""

    factor: float = 1.0
    circuit: circuit_breaker.CircuitState = CLOSED
    paused_until: float = 0.0

    def wait(self, now: datetime) -> float:
        """Seconds until it may be called; 0 when it may be now, be it only with a probe."""
        moment = now.timestamp()
        waits = [self.paused_until - moment]
        if self.circuit.at(moment) is Circuit.OPEN:
            waits.append(HELD_WAIT_SECONDS if self.circuit.is_held else self.circuit.until - moment)
        return max(0.0, *waits)


DEFAULT_STATE = AccountState()


@dataclass(frozen=True, slots=True)
class CallResult:
    """A call that was made, and what came of it."""

    slug: str
    error: SendError | None = field(repr=False)
    latency_ms: int
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that has opened or closed."""

    slug: str
    step: Step
    detail: str = ""
    needs_operator: bool = False


class _Kept:
    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.read_at = 0.0
        self.standings: Mapping[str, AccountState] = {}


_kept = _Kept()


def cached(slugs: Iterable[str], *, now: datetime) -> Mapping[str, AccountState]:
    """By slug; at most a second old."""
    wanted, moment = sorted(slugs), now.timestamp()
    with _kept.guard:
        if 0 <= moment - _kept.read_at < KEPT_FOR_SECONDS and _kept.standings.keys() >= set(wanted):
            return _kept.standings
    found = fetch(wanted, now=now)
    with _kept.guard:
        _kept.read_at, _kept.standings = moment, found
    return found


def invalidate() -> None:
    """The next `read` asks Redis: after an operator's act, and between tests."""
    with _kept.guard:
        _kept.read_at, _kept.standings = 0.0, {}


def fetch(slugs: Sequence[str], *, now: datetime) -> Mapping[str, AccountState]:
    moment = now.timestamp()
    size = health.ROUTING_BUCKETS

    def act(client: redis.Redis) -> list:
        with client.pipeline(transaction=False) as pipe:
            for slug in slugs:
                circuit_breaker.read(pipe, slug)
                rate_limit.read_pause(pipe, slug)
                for bucket in health.buckets(slug, now=moment, count=size):
                    pipe.hgetall(bucket)
            return pipe.execute()

    answers = shared_state.ask(act, otherwise=None)
    if answers is None:
        return dict.fromkeys(slugs, DEFAULT_STATE)
    rows = [answers[start : start + size + 2] for start in range(0, len(answers), size + 2)]
    return {slug: _parsed(row, moment) for slug, row in zip(slugs, rows, strict=True)}


def _parsed(row: list, moment: float) -> AccountState:
    circuit, paused_until, *counts = row
    return AccountState(
        factor=routing.health_factor(*health.faded(counts, now=moment)),
        circuit=circuit_breaker.parsed(circuit),
        paused_until=float(paused_until or 0),
    )


def record(calls: Iterable[CallResult], *, now: datetime) -> list[CircuitChange]:
    """Count what came of these calls, and let it work on circuits and pauses; returns the circuits that have changed."""
    moment = now.timestamp()
    by_slug = {slug: list(group) for slug, group in groupby(sorted(calls, key=lambda m: m.slug), key=lambda m: m.slug)}
    if not by_slug:
        return []

    def act(client: redis.Redis) -> list[str]:
        with client.pipeline(transaction=False) as pipe:
            for slug, made in by_slug.items():
                _add(pipe, slug, made, moment)
            # The circuit's step is the last command of each account.
            return [answer for answer in pipe.execute() if isinstance(answer, str)]

    steps = [Step(answer) for answer in shared_state.ask(act, otherwise=[])]
    changes = [
        CircuitChange(slug, step, _worst(made), any(isinstance(call.error, OPERATORS_AFFAIR) for call in made))
        for (slug, made), step in zip(by_slug.items(), steps, strict=False)
        if step in {Step.OPENED, Step.CLOSED}
    ]
    if any(steps) or any(isinstance(call.error, RateLimited) for made in by_slug.values() for call in made):
        invalidate()
    return changes


def _add(pipe: redis.client.Pipeline, slug: str, made: Sequence[CallResult], moment: float) -> None:
    outcomes = [health.outcome_of(call.error) for call in made]
    counts = health.count_calls((outcome, call.latency_ms) for outcome, call in zip(outcomes, made, strict=True))
    health.add(pipe, slug, counts, now=moment)
    wishes = [call.error.retry_after for call in made if isinstance(call.error, RateLimited) and call.error.retry_after]
    if wishes:
        rate_limit.pause(pipe, slug, seconds=max(wishes), now=moment)
    circuit_breaker.observe(
        pipe,
        slug,
        answered=sum(counts[outcome] for outcome in health.ANSWERED),
        faults=sum(counts[outcome] for outcome in health.FAULTS),
        refused=any(isinstance(call.error, OPERATORS_AFFAIR) for call in made),
        probe=_probe(made, outcomes),
        reason=_worst(made),
        now=moment,
    )


def _probe(made: Sequence[CallResult], outcomes: Sequence[CallOutcome]) -> str:
    """A limit is an answer too: whoever says "slow down" is alive."""
    for call, outcome in zip(made, outcomes, strict=True):
        if call.is_probe:
            return "fault" if outcome in health.FAULTS else "ok"
    return ""


def _worst(made: Sequence[CallResult]) -> str:
    faults = [call.error for call in made if health.outcome_of(call.error) in health.FAULTS]
    faults.sort(key=lambda error: isinstance(error, OPERATORS_AFFAIR))
    return f"{faults[-1].error_code}: {faults[-1].detail}" if faults else ""


def reset(slug: str, *, now: datetime) -> bool:
    """As if nothing had ever been heard of the account. False while Redis is away: then nothing has changed."""

    def act(client: redis.Redis) -> bool:
        with client.pipeline() as pipe:
            circuit_breaker.close(pipe, slug)
            rate_limit.forget(pipe, slug)
            health.forget(pipe, slug, now=now.timestamp())
            pipe.execute()
        return True

    done = shared_state.ask(act, otherwise=False)
    invalidate()
    return done


def record_receipt(slug: str, receipt: health.ReceiptOutcome, *, now: datetime) -> None:

    def act(client: redis.Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            health.add(pipe, slug, {receipt: 1}, now=now.timestamp())
            pipe.execute()

    shared_state.ask(act, otherwise=None)
