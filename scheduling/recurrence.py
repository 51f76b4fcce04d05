"""Occurrences of a schedule: RFC 5545 recurrence rules and dates on naive wall times in an IANA zone.

Wall times are naive; all occurrences keep the microseconds of the start. No function iterates from the start of the recurrence
set, and every search is bounded (`recurrence_set`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling.recurrence_dates import NO_DATES, Dates, LeftOut
from scheduling.recurrence_lines import InvalidRecurrence, separate
from scheduling.recurrence_rule import Until, check, parse
from scheduling.recurrence_set import wall_times
from scheduling.wall_time import UnknownZone, to_utc, zone

__all__ = [
    "NO_DATES",
    "Dates",
    "InvalidRecurrence",
    "Occurrence",
    "Position",
    "RecurrenceStep",
    "SkipResult",
    "UnknownZone",
    "check",
    "first_at_or_after",
    "next_occurrence",
    "position_after",
    "separate",
    "skip_all",
    "steps",
    "to_utc",
    "upcoming",
    "zone",
]

# A rule whose occurrences are all left out for so long is considered finished: weekdays repeat after 28 years.
_LEFT_OUT_AT_MOST = timedelta(days=30 * 366)
_NEAR = timedelta(days=2)  # more than any zone is from UTC


@dataclass(frozen=True, slots=True)
class Position:
    """How far a schedule is. `added` is the last run if that was an added date after `last`.

    `last` is the rule's last occurrence (naive wall time, None before the first), `count` how many it has had, with those that
    were left out.
    """

    last: datetime | None
    count: int
    added: datetime | None = None

    @property
    def latest(self) -> datetime | None:
        return max((wall for wall in (self.last, self.added) if wall is not None), default=None)


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


class RecurrenceStep(NamedTuple):
    """An occurrence and the position after it. `left_out` is why it does not run: `exdate` or `holiday`, and its name or ""."""

    wall: datetime
    utc: datetime
    position: Position
    left_out: tuple[str, str] | None = None
    is_added: bool = False


def next_occurrence(
    *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, dates: Dates = NO_DATES
) -> Occurrence | None:
    """Return the occurrence after `position`, or None if there is none within 50 years. Without a rule, `start` occurs once.

    It is later in UTC than `position.latest`: occurrences that fall together because clocks skip an hour are one occurrence.
    Raises `InvalidRecurrence`.
    """
    return next(iter(upcoming(rule=rule, start=start, tz=tz, position=position, count=1, dates=dates)), None)


def upcoming(
    *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, count: int, dates: Dates = NO_DATES
) -> list[Occurrence]:
    """Return up to `count` occurrences after `position`."""
    found = steps(rule=rule, start=start, tz=tz, position=position, dates=dates)
    return [Occurrence(step.wall, step.utc) for step in islice(found, max(count, 0))]


def first_at_or_after(
    *,
    rule: str | None,
    start: datetime,
    tz: ZoneInfo,
    position: Position,
    not_before: datetime,
    dates: Dates = NO_DATES,
) -> SkipResult | None:
    """Return the first occurrence after `position` that is not before `not_before` (UTC). Skipped occurrences count for COUNT.

    Takes time in proportion to the occurrences skipped: a third of a second for one month of a minutely rule.
    """
    skipped = 0
    for step in steps(rule=rule, start=start, tz=tz, position=position, dates=dates):
        if step.utc >= not_before:
            return SkipResult(step.wall, step.utc, skipped, position)
        skipped, position = skipped + 1, step.position
    return None


def skip_all(
    *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, dates: Dates = NO_DATES
) -> tuple[int, Position]:
    """Return how many occurrences a recurrence that ends has after `position`, and the position after the last one."""
    skipped = 0
    for step in steps(rule=rule, start=start, tz=tz, position=position, dates=dates):
        skipped, position = skipped + 1, step.position
    return skipped, position


def position_after(
    wall: datetime, *, rule: str | None, start: datetime, tz: ZoneInfo, position: Position, dates: Dates = NO_DATES
) -> Position:
    """Return the position after the occurrence `wall`, which is the next one after `position`."""
    if dates:
        step = next(steps(rule=rule, start=start, tz=tz, position=position, dates=dates), None)
        if step is not None and step.wall == wall:
            return step.position
    return Position(last=wall, count=position.count + 1)


def steps(
    *,
    rule: str | None,
    start: datetime,
    tz: ZoneInfo,
    position: Position,
    dates: Dates,
    left_out: LeftOut | None = None,
) -> Iterator[RecurrenceStep]:
    """Yield the occurrences after `position`, in the order of UTC. With `left_out`, yield those that do not run as well."""
    is_listed, left_out = left_out is not None, left_out or (LeftOut(dates, tz) if dates else None)
    done = None if position.latest is None else to_utc(position.latest, tz)
    by_rule = _by_rule(rule, start, tz, position, left_out, is_listed=is_listed)
    carried = Position(last=position.last, count=position.count)
    for step in merge(by_rule, _added(dates, start, tz, left_out, is_listed=is_listed), key=lambda step: step.utc):
        if not step.is_added:
            carried = step.position
        if done is not None and step.utc <= done:
            continue
        if step.left_out is None:
            done = step.utc
        elif not is_listed:
            continue
        yield step if not step.is_added else step._replace(position=Position(carried.last, carried.count, step.wall))


def _added(
    dates: Dates, start: datetime, tz: ZoneInfo, left_out: LeftOut | None, *, is_listed: bool
) -> Iterator[RecurrenceStep]:
    """Yield the added dates, without their positions."""
    fraction = timedelta(microseconds=start.microsecond)
    for each in dates.added:
        wall = each + fraction
        utc = to_utc(wall, tz)
        is_out = left_out is not None and left_out.by_date(each, utc)
        if is_listed or not is_out:
            yield RecurrenceStep(wall, utc, Position(None, 0), ("exdate", "") if is_out else None, is_added=True)


def _by_rule(
    text: str | None, start: datetime, tz: ZoneInfo, position: Position, left_out: LeftOut | None, *, is_listed: bool
) -> Iterator[RecurrenceStep]:
    """Yield the rule's occurrences. Those that are left out count, and are yielded if `is_listed`."""
    count, latest_run = position.count, position.latest or start
    previous = None if position.last is None else to_utc(position.last, tz)
    limit = parse(text).count if text else None
    until = parse(text).until if text else None
    passed_over = None if left_out is None or is_listed or limit is not None else _whole_days(left_out, until)
    walls = _walls(text, start, position.last, passed_over)
    while (limit is None or count < limit) and (wall := next(walls, None)) is not None:
        reason = left_out.by_day(wall) if left_out is not None else None
        if reason is not None and wall - latest_run > _LEFT_OUT_AT_MOST:
            return
        if reason is not None and not is_listed and limit is None and _is_certainly_before(wall, until):
            continue
        utc = to_utc(wall, tz)
        if until is not None and until.is_past(wall=wall.replace(microsecond=0), utc=utc.replace(microsecond=0)):
            return
        if previous is not None and utc <= previous:
            continue
        previous, count = utc, count + 1
        if reason is None and left_out is not None and left_out.by_time(wall, utc):
            reason = ("exdate", "")
        if reason is None:
            latest_run = wall
        elif wall - latest_run > _LEFT_OUT_AT_MOST:
            return
        if reason is None or is_listed:
            yield RecurrenceStep(wall, utc, Position(last=wall, count=count), reason)


def _walls(
    text: str | None, start: datetime, last: datetime | None, is_passed_over: Callable[[datetime], bool] | None
) -> Iterator[datetime]:
    if not text:
        if last is None:
            yield start
        return
    fraction = timedelta(microseconds=start.microsecond)
    whole = None if last is None else last.replace(microsecond=0)
    begin = start.replace(microsecond=0)
    for wall in wall_times(parse(text), start=begin, last=whole, is_passed_over=is_passed_over):
        yield wall + fraction


def _whole_days(left_out: LeftOut, until: Until | None) -> Callable[[datetime], bool]:
    """Return whether nothing of a day has to be looked at, by its midnight: a minutely rule has 1,440 times on a holiday."""
    return lambda midnight: (
        left_out.by_day(midnight) is not None and _is_certainly_before(midnight + timedelta(days=1), until)
    )


def _is_certainly_before(wall: datetime, until: Until | None) -> bool:
    return until is None or wall < until.at.replace(tzinfo=None) - _NEAR
