"""The wall times of a rule, from any place in its series on: no walk from the start, and no search without end.

`dateutil.rrule` is continued at the last occurrence, with the parts that it would have taken from the start (BYHOUR,
BYMONTHDAY, …) written out.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import gcd
from typing import Any

from dateutil import rrule as library

from scheduling.recurrence_rule import RecurrenceRule, most_weeks

# A rule that has had no occurrence for 50 years, and for 60 of its periods, is taken to fire no more. The calendar's rarest
# combination is one weekday on 29 February: 28 years, and 40 over a year such as 2100.
_PERIODS_IN_50_YEARS = {"YEARLY": 50, "MONTHLY": 600, "WEEKLY": 2_610, "DAILY": 18_263}
_LEAST_PERIODS = 60
_FREQUENCIES = {
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
_CHOOSE_DAYS = frozenset({"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})
_OF_DATES = frozenset({"BYMONTH", "BYYEARDAY", "BYMONTHDAY", "BYDAY"})
_MINUTES_OF_DAY = 1440
# What the library raises for rules that it finds out to be empty, and at the end of the calendar.
_LIBRARY_ERRORS = (ValueError, OverflowError, IndexError, KeyError, TypeError, ZeroDivisionError)


def walls(rule: RecurrenceRule, *, start: datetime, last: datetime | None) -> Iterator[datetime]:
    """The rule's wall times at or after `start` and after `last`, in order, whole seconds. COUNT and UNTIL are not applied.

    `last` is an occurrence of the same rule and start. The iterator ends where it finds nothing for 50 years and 60 periods.
    """
    search = _search_by_library if rule.frequency in _FREQUENCIES else _search_within_days
    try:
        for wall in search(rule, start, last):
            if wall >= start and (last is None or wall > last):
                yield wall
    except (_NothingFound, *_LIBRARY_ERRORS):
        return


class _NothingFound(Exception):
    pass


class _Bounded(int):
    """An INTERVAL that counts how often it is applied since the last occurrence.

    The library searches for a rule that never fires up to the year 9999, for many seconds, and hands over control only with
    an occurrence. But it adds the interval at each period, and there the search can be ended.
    """

    def __new__(cls, value: int, frequency: str) -> "_Bounded":
        self = super().__new__(cls, value)
        self._periods = self._left = max(_LEAST_PERIODS, _PERIODS_IN_50_YEARS[frequency] // value)
        return self

    def refill(self) -> None:
        self._left = self._periods

    def _spend(self) -> int:
        self._left -= 1
        if self._left < 0:
            raise _NothingFound
        return int(self)

    def __radd__(self, other: int) -> int:
        return other + self._spend()

    def __mul__(self, other: int) -> int:
        return self._spend() * other


def _search_by_library(rule: RecurrenceRule, start: datetime, last: datetime | None) -> Iterator[datetime]:
    begin = start if last is None else last
    if last is not None and rule.frequency == "WEEKLY" and "BYSETPOS" in rule.by:
        # Positions count from the first day of the week; only the very first week begins at the start.
        week = last - timedelta(days=(last.weekday() - rule.week_start) % 7)
        begin = max(start, week.replace(hour=0, minute=0, second=0))
    interval = _Bounded(rule.interval, rule.frequency)
    series = library.rrule(
        _FREQUENCIES[rule.frequency],
        dtstart=begin,
        interval=interval,
        wkst=rule.week_start,
        bysecond=start.second,
        **_arguments(rule.frequency, _with_defaults(rule, start)),
    )
    for wall in series:
        interval.refill()
        yield wall


def _with_defaults(rule: RecurrenceRule, start: datetime) -> dict[str, tuple]:
    """The BYxxx parts, with what RFC 5545 takes from the start where they are missing."""
    by = dict(rule.by)
    if not by.keys() & _CHOOSE_DAYS:
        if rule.frequency == "YEARLY":
            by.setdefault("BYMONTH", (start.month,))
        if rule.frequency in {"YEARLY", "MONTHLY"}:
            by["BYMONTHDAY"] = (start.day,)
        if rule.frequency == "WEEKLY":
            by["BYDAY"] = ((0, start.weekday()),)
    by.setdefault("BYHOUR", (start.hour,))
    by.setdefault("BYMINUTE", (start.minute,))
    return by


def _arguments(frequency: str, by: Mapping[str, tuple]) -> dict[str, Any]:
    arguments: dict[str, Any] = {_ARGUMENTS[key]: values for key, values in by.items()}
    if "BYDAY" in by:
        # Of a list such as MO,1TU the library takes only days that are both: a bare day among numbered ones is written out.
        numbered = any(ordinal for ordinal, _weekday in by["BYDAY"])
        every = range(1, most_weeks(frequency, by) + 1)
        arguments["byweekday"] = [
            library.weekday(weekday, number or None)
            for ordinal, weekday in by["BYDAY"]
            for number in (every if numbered and not ordinal else (ordinal,))
        ]
    return arguments


def _search_within_days(rule: RecurrenceRule, start: datetime, last: datetime | None) -> Iterator[datetime]:
    """HOURLY and MINUTELY: the library finds the days; the times of a day lie on a grid that begins at the start.

    The library's own steps within a day are ten times slower and cannot be bounded. In the tests it is the yardstick.
    """
    hourly = rule.frequency == "HOURLY"
    step = rule.interval * (60 if hourly else 1)
    origin = start.replace(second=0, minute=0 if hourly else start.minute)
    minutes = _positions(rule.by.get("BYMINUTE", (start.minute,)) if hourly else (0,), rule.by.get("BYSETPOS"))
    allowed = _allowed_slots(rule, hourly=hourly)
    reached = gcd(step, _MINUTES_OF_DAY)  # the grid comes to every slot that lies a multiple of this from its origin
    if not minutes or not any((slot - origin.hour * 60 - origin.minute) % reached == 0 for slot in allowed):
        return
    interval = _Bounded(1, "DAILY")
    begin = start if last is None else last
    for day in _days(rule, begin, interval):
        first = int((origin - day).total_seconds()) // 60 % step
        if day <= begin:  # the slots before it are known to be over
            first += max(0, begin.hour * 60 + (0 if hourly else begin.minute) - first) // step * step
        for slot in range(first, _MINUTES_OF_DAY, step):
            if slot in allowed:
                for minute in minutes:
                    interval.refill()
                    yield day + timedelta(minutes=slot + minute, seconds=start.second)


def _positions(minutes: tuple[int, ...], chosen: tuple[int, ...] | None) -> list[int]:
    """BYSETPOS within one hour or minute, whose set is the same each time."""
    if chosen is None:
        return list(minutes)
    count = len(minutes)
    return sorted({minutes[position - (position > 0)] for position in chosen if abs(position) <= count})


def _allowed_slots(rule: RecurrenceRule, *, hourly: bool) -> frozenset[int]:
    """Minutes of the day: the full hours of an hourly rule, or all that a minutely one may take."""
    hours = rule.by.get("BYHOUR", range(24))
    minutes = (0,) if hourly else rule.by.get("BYMINUTE", range(60))
    return frozenset(hour * 60 + minute for hour in hours for minute in minutes)


def _days(rule: RecurrenceRule, begin: datetime, interval: _Bounded) -> Iterator[datetime]:
    dates = {key: values for key, values in rule.by.items() if key in _OF_DATES}
    midnight = begin.replace(hour=0, minute=0, second=0)
    arguments = _arguments(rule.frequency, dates)
    return iter(library.rrule(library.DAILY, dtstart=midnight, interval=interval, **arguments))
