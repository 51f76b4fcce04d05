"""When a schedule fires: RFC 5545 on naive wall time in an IANA zone, one occurrence at a time.

Wall times in and out are naive; the microseconds of a start are kept by all its occurrences. Nothing here walks a series from
its start, and no search is without end (`recurrence_series`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling.recurrence_rule import InvalidRecurrence, check, parse
from scheduling.recurrence_series import walls
from scheduling.wall_time import UnknownZone, to_utc, zone

__all__ = [
    "InvalidRecurrence",
    "Jump",
    "Occurrence",
    "Position",
    "UnknownZone",
    "check",
    "first_at_or_after",
    "next_occurrence",
    "to_utc",
    "upcoming",
    "zone",
]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a series stands: its last occurrence (naive wall time, None before the first) and how many there were."""

    last: datetime | None
    count: int


class Occurrence(NamedTuple):
    """`wall` is what the rule says, also where clocks skip it; `utc` is when that is."""

    wall: datetime
    utc: datetime


class Jump(NamedTuple):
    """An occurrence, how many were jumped over, and the position after those: its next occurrence is this one."""

    wall: datetime
    utc: datetime
    skipped: int
    position: Position


def next_occurrence(*, rule: str | None, start: datetime, tz: ZoneInfo, position: Position) -> Occurrence | None:
    """The occurrence after `position`, or None when there is none (or none within 50 years). Without a rule: `start`, once.

    Its moment is later than that of `position.last`: occurrences that a gap in the clock throws together are one, and count
    once. Raises `InvalidRecurrence` for what `check` refuses.
    """
    return next(_occurrences(rule, start, tz, position), None)


def upcoming(*, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, count: int) -> list[Occurrence]:
    """The next `count` occurrences after `position`, or as many as there are."""
    return list(islice(_occurrences(rule, start, tz, position), max(count, 0)))


def first_at_or_after(
    *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, moment_utc: datetime
) -> Jump | None:
    """The first occurrence after `position` whose moment is not before `moment_utc`. What is jumped over counts for COUNT.

    The time it takes grows with what is jumped over: a third of a second for a month of minutes.
    """
    skipped, last = 0, position.last
    for wall, utc in _occurrences(rule, start, tz, position):
        if utc >= moment_utc:
            return Jump(wall, utc, skipped, Position(last=last, count=position.count + skipped))
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
    series = walls(rule, start=start.replace(microsecond=0), last=_whole_second(position.last))
    while left is None or left > 0:
        wall = next(series, None)
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
