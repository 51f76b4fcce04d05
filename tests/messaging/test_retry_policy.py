"""The table of delays, its jitter, and the provider's `retry_after`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.retry_policy import DELAYS, MAX_RETRY_AFTER, next_delay


@pytest.mark.parametrize(("rounds", "seconds"), [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800)])
def test_the_delays_are_the_documented_ones(rounds: int, seconds: float) -> None:
    assert next_delay(rounds_failed=rounds, position=0.5) == pytest.approx(seconds)


@pytest.mark.parametrize("retry_after", [None, 7.0])
def test_after_the_last_round_there_is_no_other(retry_after: float | None) -> None:
    assert next_delay(rounds_failed=len(DELAYS) + 1, position=0.5, retry_after=retry_after) is None


@given(rounds=st.integers(1, len(DELAYS)), position=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_fifth(rounds: int, position: float) -> None:
    delay = next_delay(rounds_failed=rounds, position=position)

    assert 0.8 * DELAYS[rounds - 1] <= delay <= 1.2 * DELAYS[rounds - 1]


def test_jitter_uses_the_whole_fifth() -> None:
    assert next_delay(rounds_failed=1, position=0.0) == pytest.approx(4)
    assert next_delay(rounds_failed=1, position=0.999_999) == pytest.approx(6, abs=0.001)


@pytest.mark.parametrize(
    ("retry_after", "expected"), [(0.0, 0.0), (-5.0, 0.0), (7.5, 7.5), (3600.0, 3600.0), (1e9, MAX_RETRY_AFTER)]
)
def test_the_providers_retry_after_wins_within_an_hour(retry_after: float, expected: float) -> None:
    assert next_delay(rounds_failed=4, position=0.9, retry_after=retry_after) == expected
