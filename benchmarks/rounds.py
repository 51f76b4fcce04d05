"""Measure several sides in turn, and take the median of each: noise of the machine meets all of them alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence

Measured = Mapping[str, float]
"""What one round of one side gave, by the name of the measure."""
Medians = dict[str, dict[str, float]]
"""By side, then by measure."""


class Rounds:
    """What all rounds gave: `values[side][measure]` has one number a round."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}

    def add(self, side: str, measured: Measured) -> None:
        for measure, number in measured.items():
            self.values.setdefault(side, {}).setdefault(measure, []).append(number)

    def medians(self) -> Medians:
        return {
            side: {measure: statistics.median(numbers) for measure, numbers in measures.items()}
            for side, measures in self.values.items()
        }


def interleaved(sides: Mapping[str, Callable[[], Measured]], *, rounds: int, warm_up: int = 1) -> Rounds:
    """Each round measures every side once. The rounds of `warm_up` come first and are not kept."""
    found = Rounds()
    for number in range(-warm_up, rounds):
        for side, measure in sides.items():
            measured = measure()
            if number >= 0:
                found.add(side, measured)
    return found


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """None where one of them was not measured."""
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def percentile(numbers: Sequence[float], percent: int) -> float:
    """The smallest of the numbers that at least `percent` of them do not exceed."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
