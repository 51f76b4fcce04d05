"""Two carriers, one of which fails: real health, circuits and routing over Redis, on a clock that the test moves."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from providers.errors import Unavailable
from providers.routing import Candidate, SpreadSequence, choose
from providers.state import account_state, circuit_breaker
from providers.state.account_state import CallResult
from providers.state.circuit_breaker import Circuit, Permission
from tests.factories import NOW

NUMBER = "+14155550123"
TICK = 0.5
LONG_TICK = 2.0  # while an account recovers, which takes minutes: the same messages with a third of the calls of Redis


class Traffic:
    """Messages come evenly; each tries the next account at once when one fails, as dispatch does."""

    def __init__(self, *, weights: dict[str, int], per_second: float) -> None:
        self.weights = weights
        self.per_second = per_second
        self.error_rates = dict.fromkeys(weights, 0.0)
        self.now = NOW
        self.sent = Counter()
        self._due = 0.0
        self._chance = random.Random(7)
        self._positions = SpreadSequence(0.5)

    def minutes(self, minutes: float, *, tick: float = TICK) -> tuple[Counter, list[int]]:
        """Calls by account, and for each message how many it took (0: no account was there for it).

        What is sent within a tick is recorded together.
        """
        calls: Counter[str] = Counter()
        tries: list[int] = []
        for _ in range(round(minutes * 60 / tick)):
            self._due += self.per_second * tick
            made: list[CallResult] = []
            while self._due >= 1:
                self._due -= 1
                tries.append(self._send(made))
            calls.update(each.slug for each in made)
            account_state.record(made, now=self.now)
            self.now += timedelta(seconds=tick)
        return calls, tries

    def _send(self, made: list[CallResult]) -> int:
        passed = frozenset()
        found = account_state.cached(self.weights, now=self.now)
        before = len(made)
        while True:
            candidates = [Candidate(slug, weight, health=found[slug].factor) for slug, weight in self.weights.items()]
            slug = choose(candidates, number=NUMBER, position=self._positions.next(), exclude=passed)
            if slug is None:
                return 0
            passed |= {slug}
            state = found[slug].circuit.at(self.now.timestamp())
            permission = (
                circuit_breaker.request_permission(slug, now=self.now.timestamp())
                if state is Circuit.HALF_OPEN
                else None
            )
            if state is Circuit.OPEN or permission is Permission.REFUSED:
                continue
            failed = self._chance.random() < self.error_rates[slug]
            error = Unavailable("answered 500") if failed else None
            made.append(CallResult(slug, error, 50, is_probe=permission is Permission.PROBE))
            if not failed:
                return len(made) - before


def share(calls: Counter, slug: str) -> float:
    return calls[slug] / calls.total()


@pytest.mark.parametrize(("weight", "other"), [(50, 50), (30, 70), (70, 30)])
def test_an_account_with_sixty_percent_errors_loses_its_share_and_regains_it(weight: int, other: int) -> None:
    traffic = Traffic(weights={"ill": weight, "well": other}, per_second=2000 / 240)
    configured = weight / (weight + other)
    traffic.error_rates["ill"] = 0.6

    first_minute, tries = traffic.minutes(1)
    later, more = traffic.minutes(3)

    tries += more
    assert len(tries) == pytest.approx(2000, abs=1)
    assert sum(count > 0 for count in tries) / len(tries) >= 0.97
    assert share(later, "ill") < 0.10
    assert later["ill"] > 0
    assert first_minute["ill"] > 0

    traffic.error_rates["ill"] = 0.0
    shares = [share(traffic.minutes(1, tick=LONG_TICK)[0], "ill") for _ in range(15)]

    assert shares[0] < configured / 2
    assert shares[-1] == pytest.approx(configured, abs=0.03)


def test_an_account_with_fifty_percent_errors_loses_most_of_its_share_in_a_minute() -> None:
    traffic = Traffic(weights={"ill": 50, "well": 50}, per_second=10)
    traffic.error_rates["ill"] = 0.5

    traffic.minutes(1)

    assert 0 < share(traffic.minutes(1)[0], "ill") < 0.15


def test_a_failing_account_alone_keeps_the_traffic_that_its_circuit_allows() -> None:
    traffic = Traffic(weights={"only": 100}, per_second=10)
    traffic.error_rates["only"] = 0.5

    calls, tries = traffic.minutes(2)

    assert sum(count > 0 for count in tries) > 0
    assert calls["only"] > 100


def test_shares_of_healthy_accounts_follow_the_weights() -> None:
    traffic = Traffic(weights={"a": 30, "b": 70}, per_second=10)

    assert share(traffic.minutes(2)[0], "a") == pytest.approx(0.3, abs=0.01)


def test_an_account_that_is_down_gets_only_probes_and_recovers() -> None:
    traffic = Traffic(weights={"down": 50, "well": 50}, per_second=10)
    traffic.error_rates["down"] = 1.0
    traffic.minutes(1)

    calls, tries = traffic.minutes(5)
    assert 1 <= calls["down"] <= 10
    assert all(tries)

    traffic.error_rates["down"] = 0.0
    traffic.minutes(12, tick=LONG_TICK)
    assert share(traffic.minutes(1)[0], "down") == pytest.approx(0.5, abs=0.03)
