"""The arithmetic of budgets."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from messaging.policy.budgets import end_of, grants, start_of, to_amount, to_units, warns_at


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("day", "2026-11-22T23:59:59+00:00", "2026-11-22", "2026-11-23"),
        ("day", "2026-11-23T00:30:00+01:00", "2026-11-22", "2026-11-23"),  # still the 22nd in UTC
        ("day", "2026-12-31T12:00:00+00:00", "2026-12-31", "2027-01-01"),
        ("month", "2026-12-31T23:59:59+00:00", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T00:00:00+00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_are_those_of_utc(period: str, now: str, start: str, end: str) -> None:
    first = start_of(period, datetime.fromisoformat(now))

    assert first == date.fromisoformat(start)
    assert end_of(period, first) == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("3", "", 3), ("0.1", "EUR", 100_000), ("0.0000001", "EUR", 1), ("12.345678", "USD", 12_345_678)],
)
def test_money_is_counted_in_millionths_and_rounded_up(amount: str, currency: str, units: int) -> None:
    assert to_units(Decimal(amount), currency) == units


def test_units_become_the_amount_again() -> None:
    assert (to_amount(12_345_678, "USD"), to_amount(7, "")) == (Decimal("12.345678"), Decimal(7))


@pytest.mark.parametrize(("limit", "at"), [(0, 0), (1, 1), (5, 4), (9, 8), (10, 8), (5_000, 4_000)])
def test_the_warning_comes_at_the_least_use_of_80_percent(limit: int, at: int) -> None:
    assert warns_at(limit) == at
    assert at >= limit * 0.8 > at - 1 or limit == 0


@pytest.mark.parametrize("used", [[0, 0, 0], [5, 0, 1], [70, 0, 8], [79, 0, 0]])
def test_until_the_warning_the_slots_stay_below_80_percent(used: list[int]) -> None:
    granted = grants(used, limit=100, warned=False)

    assert sum(granted) == 79 or (sum(used) == 79 and granted == [0, 0, 0])
    assert max(granted) - min(granted) <= max(used) - min(used) + 1


def test_after_the_warning_they_take_all_that_is_left() -> None:
    assert grants([80, 0, 0], limit=100, warned=True) == [87, 7, 6]


@pytest.mark.parametrize("used", [[100, 0], [60, 60]])
def test_without_anything_left_no_slot_takes_anything(used: list[int]) -> None:
    assert grants(used, limit=100, warned=True) == [0, 0]
