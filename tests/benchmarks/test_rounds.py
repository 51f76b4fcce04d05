from collections.abc import Callable

import pytest

from benchmarks.rounds import Measured, interleaved, percentile, ratio


def test_sides_take_turns_and_the_warm_up_is_not_kept() -> None:
    played: list[str] = []

    def side(name: str, numbers: list[float]) -> Callable[[], Measured]:
        def measure() -> Measured:
            played.append(name)
            return {"per_second": numbers.pop(0)}

        return measure

    found = interleaved({"now": side("now", [99, 3, 1, 2]), "bare": side("bare", [99, 10, 30, 20])}, rounds=3)

    assert played == ["now", "bare"] * 4
    assert found.values == {"now": {"per_second": [3, 1, 2]}, "bare": {"per_second": [10, 30, 20]}}
    assert found.medians() == {"now": {"per_second": 2}, "bare": {"per_second": 20}}


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"), [(1.0, 4.0, 0.25), (None, 4.0, None), (1.0, None, None), (1.0, 0.0, None)]
)
def test_a_ratio_needs_both_sides(numerator: float | None, denominator: float | None, expected: float | None) -> None:
    assert ratio(numerator, denominator) == expected


@pytest.mark.parametrize(("percent", "expected"), [(1, 2.0), (50, 100.0), (99, 198.0), (100, 200.0)])
def test_a_percentile_is_one_of_the_numbers(percent: int, expected: float) -> None:
    assert percentile([float(number) for number in range(200, 0, -1)], percent) == expected
