"""The current health of accounts as texts for the console, in two round trips to Redis for any number of accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from providers.models import ProviderAccount
from providers.state import account_state, health
from providers.state.account_state import AccountState
from providers.state.circuit_breaker import Circuit
from providers.state.health import Window

MINUTES = 15
NOTHING = "-"
REFUSES_MANY = "refuses many"


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """`state` is one of: enabled, disabled, circuit open, circuit half open, paused, refuses many."""

    state: str
    reason: str
    effective_weight: str
    error_rate: str
    refusal_rate: str
    latency: str

    @property
    def needs_attention(self) -> bool:
        return self.state.startswith("circuit") or self.state == REFUSES_MANY


def read(rows: Sequence[ProviderAccount], *, now: datetime) -> list[HealthSummary]:
    """One summary for each row, in their order; without data while Redis is unavailable."""
    slugs = [row.slug for row in rows]
    states = account_state.fetch(slugs, now=now)
    windows = health.windows(slugs, now=now.timestamp(), minutes=(MINUTES,))
    return [_summary(row, states[row.slug], windows[row.slug][0], now) for row in rows]


def _summary(row: ProviderAccount, found: AccountState, window: Window, now: datetime) -> HealthSummary:
    state = _state(row, found, now)
    effective = row.weight * found.factor if state in {"enabled", REFUSES_MANY, "circuit half open"} else 0
    return HealthSummary(
        state=state,
        reason=found.circuit.reason,
        effective_weight=f"{effective:.0f}",
        error_rate=_percent(window.error_rate),
        refusal_rate=_percent(window.refusal_rate),
        latency=NOTHING if window.median_latency_ms is None else f"{window.median_latency_ms} ms",
    )


def _percent(rate: float | None) -> str:
    return NOTHING if rate is None else f"{100 * rate:.1f} %"


def _state(row: ProviderAccount, found: AccountState, now: datetime) -> str:
    circuit = found.circuit.at(now.timestamp())
    if not row.is_enabled:
        return "disabled"
    if circuit is not Circuit.CLOSED:
        return "circuit open" if circuit is Circuit.OPEN else "circuit half open"
    if found.paused_until > now.timestamp():
        return "paused"
    return REFUSES_MANY if found.refuses_many else "enabled"
