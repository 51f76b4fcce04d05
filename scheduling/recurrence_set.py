"""The recurrence set of a rule, from any occurrence on: no iteration from the start, and bounded searches.

`dateutil.rrule` continues at the last occurrence. The rule parts that it would derive from DTSTART (BYHOUR, BYMONTHDAY, …) are
passed explicitly.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from math import gcd
from typing import Any, Literal

from dateutil import rrule as library

from scheduling.recurrence_rule import ByParts, RecurrenceRule, max_ordinal

# A rule without an occurrence for 50 years and for 60 of its periods is considered finished. The rarest combination in the
# calendar is one weekday on 29 February: every 28 years, or 40 across a year such as 2100.
_PERIODS_IN_50_YEARS = {"YEARLY": 50, "MONTHLY": 600, "WEEKLY": 2_610, "DAILY": 18_263}
_MIN_PERIODS = 60
_FREQUENCIES: Mapping[str, Literal[0, 1, 2, 3]] = {
    "YEARLY": library.YEARLY,
    "MONTHLY": library.MONTHLY,
    "WEEKLY": library.WEEKLY,
    "DAILY": library.DAILY,
}
_ARGUMENTS = {
    "BYMONTH": "bymonth",
    "BYWEEKNO": "byweekno",
    "BYYEARDAY": "byyearday",
    "BYMONTHDAY": "bymonthday",
    "BYDAY": "byweekday",
    "BYHOUR": "byhour",
    "BYMINUTE": "byminute",
    "BYSETPOS": "bysetpos",
}
_SELECT_DAYS = frozenset({"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})
_DATE_PARTS = frozenset({"BYMONTH", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})
_MINUTES_OF_DAY = 1440
# Raised by the library for rules without any occurrence, and at the end of the calendar.
_LIBRARY_ERRORS = (ValueError, OverflowError, IndexError, KeyError, TypeError, ZeroDivisionError)


def wall_times(
    rule: RecurrenceRule,
    *,
    start: datetime,
    last: datetime | None,
    is_passed_over: Callable[[datetime], bool] | None = None,
) -> Iterator[datetime]:
    """Yield the rule's wall times at or after `start` and after `last`, in order, whole seconds. Ignores COUNT and UNTIL.

    `last` must be an occurrence of the same rule and start. Ends after 50 years and 60 periods without an occurrence.
    HOURLY and MINUTELY rules leave out the days of which `is_passed_over` says so; it gets their midnight.
    """
    try:
        if rule.frequency in _FREQUENCIES:
            found = _search_by_library(rule, start, last)
        else:
            found = _search_within_days(rule, start, last, is_passed_over)
        for wall in found:
            if wall >= start and (last is None or wall > last):
                yield wall
    except (_NoOccurrence, *_LIBRARY_ERRORS):
        return


class _NoOccurrence(Exception):
    pass


class _BoundedInterval(int):
    """An INTERVAL that raises when it has been applied too often since the last occurrence.

    For a rule that never fires, the library searches until the year 9999, which takes many seconds, and returns control only
    with an occurrence. It adds the interval once per period, so the search can be stopped there.
    """

    _periods: int
    _left: int

    def __new__(cls, value: int, frequency: str) -> "_BoundedInterval":
        self = super().__new__(cls, value)
        self._periods = self._left = max(_MIN_PERIODS, _PERIODS_IN_50_YEARS[frequency] // value)
        return self

    def refill(self) -> None:
        self._left = self._periods

    def _spend(self) -> int:
        self._left -= 1
        if self._left < 0:
            raise _NoOccurrence
        return int(self)

    def __radd__(self, other: int) -> int:
        return other + self._spend()

    def __mul__(self, other: int) -> int:
        return self._spend() * other


def _search_by_library(rule: RecurrenceRule, start: datetime, last: datetime | None) -> Iterator[datetime]:
    begin = start if last is None else last
    if rule.frequency == "WEEKLY" and "BYSETPOS" in rule.by:
        # BYSETPOS counts from the first day of the week, also in the week of the start; the library counts from the start.
        week = begin - timedelta(days=(begin.weekday() - rule.week_start) % 7)
        begin = week.replace(hour=0, minute=0, second=0)
    interval = _BoundedInterval(rule.interval, rule.frequency)
    recurrence_set = library.rrule(
        _FREQUENCIES[rule.frequency],
        dtstart=begin,
        interval=interval,
        wkst=rule.week_start,
        bysecond=start.second,
        **_arguments(rule.frequency, _with_defaults(rule, start)),
    )
    for wall in recurrence_set:
        interval.refill()
        yield wall


def _with_defaults(rule: RecurrenceRule, start: datetime) -> dict[str, tuple[Any, ...]]:
    """Return the BYxxx rule parts, including those that RFC 5545 derives from the start."""
    by = dict(rule.by)
    if not by.keys() & _SELECT_DAYS:
        if rule.frequency == "YEARLY":
            by.setdefault("BYMONTH", (start.month,))
        if rule.frequency in {"YEARLY", "MONTHLY"}:
            by["BYMONTHDAY"] = (start.day,)
        if rule.frequency == "WEEKLY":
            by["BYDAY"] = ((0, start.weekday()),)
    by.setdefault("BYHOUR", (start.hour,))
    by.setdefault("BYMINUTE", (start.minute,))
    return by


def _arguments(frequency: str, by: ByParts) -> dict[str, Any]:
    arguments: dict[str, Any] = {_ARGUMENTS[key]: values for key, values in by.items()}
    if "BYDAY" in by:
        # For a list such as MO,1TU the library selects only days that match both kinds. A day without a number is expanded
        # to all its numbers.
        numbered = any(ordinal for ordinal, _weekday in by["BYDAY"])
        every = range(1, max_ordinal(frequency, by) + 1)
        arguments["byweekday"] = [
            library.weekday(weekday, number or None)
            for ordinal, weekday in by["BYDAY"]
            for number in (every if numbered and not ordinal else (ordinal,))
        ]
    return arguments


def _search_within_days(
    rule: RecurrenceRule, start: datetime, last: datetime | None, is_passed_over: Callable[[datetime], bool] | None
) -> Iterator[datetime]:
    """Find HOURLY and MINUTELY occurrences: the library finds the days, and the times are steps counted from the start.

    The library's own steps within a day are 10 times slower and cannot be bounded. The tests compare the two.
    """
    hourly = rule.frequency == "HOURLY"
    step = rule.interval * (60 if hourly else 1)
    origin = start.replace(second=0, minute=0 if hourly else start.minute)
    minutes = _positions(rule.by.get("BYMINUTE", (start.minute,)) if hourly else (0,), rule.by.get("BYSETPOS"))
    allowed = _allowed_slots(rule, hourly=hourly)
    divisor = gcd(step, _MINUTES_OF_DAY)  # over the days, the steps reach every multiple of this from the origin
    if not minutes or not any((slot - origin.hour * 60 - origin.minute) % divisor == 0 for slot in allowed):
        return
    interval = _BoundedInterval(1, "DAILY")
    begin = start if last is None else last
    for day in _days(rule, begin, interval):
        if is_passed_over is not None and is_passed_over(day):
            continue
        first = int((origin - day).total_seconds()) // 60 % step
        if day <= begin:  # skip the slots before `begin`
            first += max(0, begin.hour * 60 + (0 if hourly else begin.minute) - first) // step * step
        for slot in range(first, _MINUTES_OF_DAY, step):
            if slot in allowed:
                for minute in minutes:
                    interval.refill()
                    yield day + timedelta(minutes=slot + minute, seconds=start.second)


def _positions(minutes: tuple[int, ...], chosen: tuple[int, ...] | None) -> list[int]:
    """Apply BYSETPOS within one hour or minute, where the set is always the same."""
    if chosen is None:
        return list(minutes)
    count = len(minutes)
    return sorted({minutes[position - (position > 0)] for position in chosen if abs(position) <= count})


def _allowed_slots(rule: RecurrenceRule, *, hourly: bool) -> frozenset[int]:
    """Return minutes of the day: the full hours of an HOURLY rule, or all allowed minutes of a MINUTELY rule."""
    hours = rule.by.get("BYHOUR", range(24))
    minutes = (0,) if hourly else rule.by.get("BYMINUTE", range(60))
    return frozenset(hour * 60 + minute for hour in hours for minute in minutes)


def _days(rule: RecurrenceRule, begin: datetime, interval: _BoundedInterval) -> Iterator[datetime]:
    dates = {key: values for key, values in rule.by.items() if key in _DATE_PARTS}
    midnight = begin.replace(hour=0, minute=0, second=0)
    arguments = _arguments(rule.frequency, dates)
    return iter(library.rrule(library.DAILY, dtstart=midnight, interval=interval, **arguments))
