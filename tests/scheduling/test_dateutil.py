"""What `recurrence_set` relies on in python-dateutil beyond its documentation, and what must not decide anything."""

# ruff: noqa: DTZ001 - wall times are naive: that is what is tested

from datetime import datetime
from itertools import islice
from pathlib import Path

import dateutil
import pytest
from dateutil import rrule

ROOT = Path(__file__).parents[2]
GAP = datetime(2026, 3, 29, 2, 30)  # not on any clock in Berlin


class Counted(int):
    """Counts how often it is applied."""

    times = 0

    def __radd__(self, other: int) -> int:
        type(self).times += 1
        return other + int(self)

    def __mul__(self, other: int) -> int:
        type(self).times += 1
        return int(self) * other


def test_the_release_is_the_one_that_was_read() -> None:
    """dateutil 4 gives a missing hour another moment. Whoever raises the bound reads decision 50 first."""
    assert dateutil.__version__.startswith("2.")
    assert "python-dateutil<3" in (ROOT / "requirements.in").read_text()


@pytest.mark.parametrize("frequency", [rrule.YEARLY, rrule.MONTHLY, rrule.WEEKLY, rrule.DAILY])
def test_an_interval_is_applied_once_in_each_period(frequency: int) -> None:
    Counted.times = 0

    list(islice(rrule.rrule(frequency, dtstart=GAP, interval=Counted(1)), 5))

    assert Counted.times == 4


def test_naive_times_stay_as_they_are_in_an_hour_that_clocks_skip() -> None:
    assert list(rrule.rrule(rrule.DAILY, dtstart=GAP.replace(day=28), count=2))[1] == GAP


def test_bysetpos_of_a_week_counts_from_the_start() -> None:
    """dateutil#1398. `recurrence_set` starts at the first day of the week instead."""
    thursday = datetime(2027, 1, 7, 9)

    assert rrule.rrule(rrule.WEEKLY, dtstart=thursday, byweekday=range(5), bysetpos=1)[0] == thursday


def test_no_module_of_ours_uses_the_zones_of_dateutil() -> None:
    folders = ("scheduling", "messaging", "providers", "media_store", "config")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]

    assert len(sources) > 100
    assert [path for path in sources if "dateutil.tz" in (text := path.read_text()) or "import tz\n" in text] == []
