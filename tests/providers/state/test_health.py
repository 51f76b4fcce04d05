"""What is known of an account's last minutes, from buckets that all workers count up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import (
    CredentialsRefused,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from providers.routing import FLOOR, health_factor
from providers.state import account_state, health
from providers.state.account_state import CallResult
from providers.state.health import CallOutcome, ReceiptOutcome
from tests.factories import NOW

rates = st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda pair: (sum(pair), pair[1]))


def made(error: SendError | None = None, *, slug: str = "acme", latency_ms: int = 100, count: int = 1, at=NOW) -> None:
    account_state.record([CallResult(slug, error, latency_ms)] * count, now=at)


def window(*, minutes: int = 1, at=NOW) -> health.Window:
    [found] = health.windows(["acme"], now=at.timestamp(), minutes=[minutes])["acme"]
    return found


def factor(*, at=NOW) -> float:
    return account_state.fetch(["acme"], now=at)["acme"].factor


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, CallOutcome.ACCEPTED),
        (Rejected("x"), CallOutcome.REJECTED),
        (RecipientInvalid("x"), CallOutcome.REJECTED),
        (Refused("x"), CallOutcome.REJECTED),
        (OutOfCredit("x"), CallOutcome.REJECTED),
        (RateLimited("x"), CallOutcome.LIMITED),
        (Unavailable("x"), CallOutcome.UNAVAILABLE),
        (CredentialsRefused("x"), CallOutcome.UNAVAILABLE),
        (OutcomeUnknown("x"), CallOutcome.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_its_outcome(error, outcome: CallOutcome) -> None:
    assert health.outcome_of(error) is outcome


def test_nothing_is_known_of_an_account_that_was_not_called() -> None:
    found = window()

    assert (found.calls, found.error_rate, found.refusal_rate) == (0, None, None)
    assert (found.median_latency_ms, found.delivery_rate) == (None, None)
    assert factor() == 1.0


def test_only_what_is_the_accounts_fault_counts_as_an_error() -> None:
    made(count=3)
    made(Rejected("no"), count=1)
    made(Refused("no"), count=2)
    made(RateLimited("slow down"), count=5)
    made(Unavailable("down"), count=1)
    made(OutcomeUnknown("lost"), count=1)

    found = window()

    assert found.by_outcome == {"accepted": 3, "rejected": 3, "limited": 5, "unavailable": 1, "unknown": 1}
    assert (found.calls, found.error_rate, found.refusal_rate) == (13, 0.25, 0.375)


def test_refusals_do_not_lower_the_share_of_an_account() -> None:
    made(Refused("no"), count=50)

    assert factor() == 1.0


def test_the_median_is_right_to_about_a_fifth() -> None:
    for latency_ms in (20, 90, 230, 230, 250, 5_000, 60_000):
        made(latency_ms=latency_ms)

    assert window().median_latency_ms == pytest.approx(230, rel=0.2)


def test_latencies_beyond_the_last_bound_have_a_median_too() -> None:
    made(latency_ms=999_999)

    assert window().median_latency_ms == health.LATENCY_BOUNDS[-1]


def test_the_delivery_rate_comes_from_receipts() -> None:
    for receipt in [ReceiptOutcome.DELIVERED] * 3 + [ReceiptOutcome.UNDELIVERED]:
        account_state.record_receipt("acme", receipt, now=NOW)

    assert (window().delivery_rate, window().calls) == (0.75, 0)


def test_a_minute_and_a_quarter_of_an_hour_are_apart() -> None:
    made(Unavailable("down"), count=4)
    later = NOW + timedelta(minutes=5)
    made(count=4, at=later)

    assert (window(at=later).error_rate, window(at=later, minutes=15).error_rate) == (0.0, 0.5)
    assert window(at=NOW + timedelta(minutes=15, seconds=10), minutes=15).error_rate == 0.0
    assert window(at=NOW + timedelta(minutes=30), minutes=15).calls == 0


def test_accounts_are_apart() -> None:
    made(Unavailable("down"), slug="other", count=50)

    assert (window().calls, factor()) == (0, 1.0)


def test_all_processes_share_the_counts_and_a_restart_keeps_them() -> None:
    made(Unavailable("down"), count=50)
    account_state.invalidate()

    assert account_state.cached(["acme"], now=NOW)["acme"].factor == factor() < 0.1


def test_what_was_read_serves_for_a_second() -> None:
    before = account_state.cached(["acme"], now=NOW)
    made(Unavailable("down"), count=3)

    assert account_state.cached(["acme"], now=NOW + timedelta(milliseconds=900)) is before
    assert account_state.cached(["acme"], now=NOW + timedelta(seconds=1))["acme"].factor < 1


def test_an_account_that_was_not_asked_for_is_read_at_once() -> None:
    account_state.cached(["acme"], now=NOW)

    assert set(account_state.cached(["acme", "new"], now=NOW)) == {"acme", "new"}


def test_faults_fade_until_they_are_forgotten() -> None:
    made(Unavailable("down"), count=20)

    factors = [factor(at=NOW + timedelta(seconds=seconds)) for seconds in range(0, 360, 20)]

    assert factors == sorted(factors)
    assert (factors[0], factors[-1]) == (FLOOR, 1.0)
    assert FLOOR < factors[6] < 1.0


class TestFormula:
    @given(rate=rates)
    def test_the_factor_is_between_the_floor_and_one(self, rate: tuple[int, int]) -> None:
        assert FLOOR <= health_factor(*rate) <= 1.0

    @given(rate=rates)
    def test_a_fault_never_helps_and_a_good_call_never_harms(self, rate: tuple[int, int]) -> None:
        calls, faults = rate

        assert health_factor(calls + 1, faults + 1) <= health_factor(calls, faults) <= health_factor(calls + 1, faults)

    @pytest.mark.parametrize("calls", [0, 1, 1000])
    def test_without_faults_it_is_one(self, calls: int) -> None:
        assert health_factor(calls, 0) == 1.0

    @pytest.mark.parametrize(
        ("calls", "faults", "expected"), [(1, 1, 0.683), (10, 10, 0.0625), (90, 50, 0.0625), (1000, 10, 0.961)]
    )
    def test_examples_of_the_documentation(self, calls: int, faults: int, expected: float) -> None:
        assert health_factor(calls, faults) == pytest.approx(expected, abs=0.001)
