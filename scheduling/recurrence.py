"""Occurrences of a schedule: RFC 5545 recurrence rules on naive wall times in an IANA zone.

Wall times are naive; all occurrences keep the microseconds of the start. No function iterates from the start of the recurrence
set, and every search is bounded (`recurrence_set`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling.recurrence_rule import InvalidRecurrence, check, parse, separate
from scheduling.recurrence_set import wall_times
from scheduling.wall_time import UnknownZone, to_utc, zone

__all__ = [
    "InvalidRecurrence",
    "Occurrence",
    "Position",
    "SkipResult",
    "UnknownZone",
    "check",
    "first_at_or_after",
    "next_occurrence",
    "separate",
    "to_utc",
    "upcoming",
    "zone",
]


@dataclass(frozen=True, slots=True)
class Position:
    """The last occurrence (naive wall time, None before the first) and the number of occurrences so far."""

    last: datetime | None
    count: int


class Occurrence(NamedTuple):
    """`wall` is the wall time by the rule, even one that clocks skip; `utc` is when the schedule fires."""

    wall: datetime
    utc: datetime


class SkipResult(NamedTuple):
    """An occurrence, how many occurrences were skipped before it, and the position after the skipped ones."""

    wall: datetime
    utc: datetime
    skipped: int
    position: Position


def next_occurrence(*, rule: str | None, start: datetime, tz: ZoneInfo, position: Position) -> Occurrence | None:
    """Return the occurrence after `position`, or None if there is none within 50 years. Without a rule, `start` occurs once.

    It is later in UTC than `position.last`: occurrences that fall together because clocks skip an hour are one occurrence.
    Raises `InvalidRecurrence`.
    """
    return next(_occurrences(rule, start, tz, position), None)


def upcoming(*, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, count: int) -> list[Occurrence]:
    """Return up to `count` occurrences after `position`."""
    return list(islice(_occurrences(rule, start, tz, position), max(count, 0)))


def first_at_or_after(
    *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, not_before: datetime
) -> SkipResult | None:
    """Return the first occurrence after `position` that is not before `not_before` (UTC). Skipped occurrences count for COUNT.

    Takes time in proportion to the occurrences skipped: a third of a second for one month of a minutely rule.
    """
    skipped, last = 0, position.last
    for wall, utc in _occurrences(rule, start, tz, position):
        if utc >= not_before:
            return SkipResult(wall, utc, skipped, Position(last=last, count=position.count + skipped))
        skipped, last = skipped + 1, wall
    return None


def _occurrences(text: str | None, start: datetime, tz: ZoneInfo, position: Position) -> Iterator[Occurrence]:
    if not text:
        if position.last is None:
            yield Occurrence(start, to_utc(start, tz))
        return
    rule = parse(text)
    left = None if rule.count is None else rule.count - position.count
    previous = None if position.last is None else to_utc(position.last, tz)
    fraction = timedelta(microseconds=start.microsecond)
    candidates = wall_times(rule, start=start.replace(microsecond=0), last=_whole_second(position.last))
    while left is None or left > 0:
        wall = next(candidates, None)
        if wall is None:
            return
        utc = to_utc(wall + fraction, tz)
        if rule.until is not None and rule.until.is_past(wall=wall, utc=utc.replace(microsecond=0)):
            return
        if previous is not None and utc <= previous:
            continue
        previous = utc
        left = None if left is None else left - 1
        yield Occurrence(wall + fraction, utc)


def _whole_second(wall: datetime | None) -> datetime | None:
    return None if wall is None else wall.replace(microsecond=0)
