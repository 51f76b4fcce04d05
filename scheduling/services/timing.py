"""Computes the next run of a schedule. Wall times are naive datetimes, all others are in UTC."""

import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from messaging.services.errors import InvalidField
from scheduling import recurrence, zone_data
from scheduling.models import Schedule
from scheduling.recurrence import Occurrence, Position

# The fields that `set_next` sets.
NEXT_FIELDS = ("next_wall", "next_run_at", "zone_release", "moved_from")


@dataclass(frozen=True, slots=True)
class Timing:
    """A validated start and recurrence. `start_moment` is the start in UTC if it was given with an offset, else None."""

    time_zone: str
    recurrence: str
    start_wall: datetime
    start_moment: datetime | None
    first_wall: datetime
    first_utc: datetime


def check(*, run_at: datetime, time_zone: str, rule: str | None, now: datetime) -> Timing:
    """Validate a start and a rule. `run_at` is aware, or naive for a wall time in the zone. Raises `InvalidField`."""
    try:
        zone = recurrence.zone(time_zone)
    except recurrence.UnknownZone as error:
        raise InvalidField("time_zone", "unknown_time_zone", str(error)) from None
    try:
        wall, start_utc = _start(run_at, zone)
        text = _as_given(rule, wall=wall, utc=start_utc, zone=zone.key) if rule else ""
        if start_utc <= now:
            raise InvalidField("run_at", "in_the_past", "The time is in the past.")
        first = _first(wall, start_utc, zone, text)
    except recurrence.InvalidRecurrence as error:
        raise InvalidField("recurrence", error.code, str(error)) from None
    except OverflowError:
        raise InvalidField("run_at", "invalid", "This time is out of range.") from None
    if first is None:
        raise InvalidField("recurrence", "never_fires", "This recurrence never fires.")
    return Timing(zone.key, text, wall, start_utc if run_at.tzinfo else None, first.wall, first.utc)


def _start(run_at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the start's wall time in the zone, and in UTC."""
    if run_at.tzinfo is None:
        return run_at, recurrence.to_utc(run_at, zone)
    return run_at.astimezone(zone).replace(tzinfo=None, fold=0), run_at.astimezone(UTC)


def _first(wall: datetime, start_utc: datetime, zone: ZoneInfo, rule: str) -> Occurrence | None:
    first = recurrence.next_occurrence(rule=rule or None, start=wall, tz=zone, position=Position(last=None, count=0))
    # Where a wall time occurs twice, the offset that the client gave says which of the two.
    return Occurrence(wall, start_utc) if first is not None and first.wall == wall else first


def _as_given(rule: str, *, wall: datetime, utc: datetime, zone: str) -> str:
    """Check the rule; returns it in the client's order of parts, with the prefix `RRULE:`. A DTSTART line must be the start."""
    recurrence.check(rule)
    body, written = recurrence.separate(rule)
    if written is not None and not written.agrees(wall=wall, utc=utc, zone=zone):
        raise recurrence.InvalidRecurrence("DTSTART is not the start that run_at and time_zone give; leave it out.")
    return f"RRULE:{body}"


def position_of(schedule: Schedule) -> Position:
    last = datetime.fromisoformat(schedule.last_wall) if schedule.last_wall else None
    return Position(last=last, count=schedule.occurrences)


def advance(schedule: Schedule) -> None:
    """Move to the following occurrence: the next one becomes the last one. The caller saves the schedule."""
    schedule.last_wall = schedule.next_wall
    schedule.occurrences += 1
    following = _following(schedule)
    previous = schedule.next_run_at
    if following is not None and previous is not None and following.utc <= previous:
        # The start was given with the offset of the second of two equal hours; the rule counts from the first hour.
        skip_to(schedule, previous + timedelta(microseconds=1))
    else:
        set_next(schedule, following)


def _following(schedule: Schedule) -> Occurrence | None:
    return recurrence.next_occurrence(
        rule=schedule.recurrence or None,
        start=datetime.fromisoformat(schedule.start_wall),
        tz=recurrence.zone(schedule.time_zone),
        position=position_of(schedule),
    )


def skip_to(schedule: Schedule, at: datetime) -> int:
    """Skip the occurrences before `at` and return how many were skipped. The caller saves the schedule."""
    rule, start = schedule.recurrence or None, datetime.fromisoformat(schedule.start_wall)
    zone, position = recurrence.zone(schedule.time_zone), position_of(schedule)
    found = recurrence.first_at_or_after(rule=rule, start=start, tz=zone, position=position, not_before=at)
    if found is None:
        rest = recurrence.upcoming(rule=rule, start=start, tz=zone, position=position, count=sys.maxsize)
        schedule.last_wall = rest[-1].wall.isoformat() if rest else schedule.last_wall
        schedule.occurrences += len(rest)
        set_next(schedule, None)
        return len(rest)
    wall, utc, skipped, position = found
    schedule.last_wall = position.last.isoformat() if position.last else ""
    schedule.occurrences = position.count
    set_next(schedule, (wall, utc))
    return skipped


def skip_to_latest(schedule: Schedule, at: datetime) -> int:
    """Skip the occurrences that a later one, still not after `at`, supersedes; return how many. The caller saves the schedule.

    Takes time in proportion to them.
    """
    skipped = 0
    while schedule.recurrence and schedule.next_wall:
        later = copy(schedule)
        advance(later)
        if later.next_run_at is None or later.next_run_at > at:
            break
        for name in ("last_wall", "occurrences", *NEXT_FIELDS):
            setattr(schedule, name, getattr(later, name))
        skipped += 1
    return skipped


def recompute(schedule: Schedule, *, last_run: datetime | None) -> None:
    """Compute the next run with this process's zone data. `last_run` is when the last run was due. The caller saves.

    Before the first occurrence, the result is what the same request would get now: a start that was given with an offset keeps
    its UTC time, any other start keeps its wall time. After it, the next run is later than the last wall time and later than
    `last_run`: no wall time runs twice, also if the new data turns clocks back.
    """
    zone = recurrence.zone(schedule.time_zone)
    after_last_run = last_run + timedelta(microseconds=1) if last_run else None
    if schedule.last_wall:
        following = _following(schedule)
        set_next(schedule, following)
        if following is not None and after_last_run is not None and following.utc < after_last_run:
            skip_to(schedule, after_last_run)
        return
    wall, start_utc = _start(schedule.start_moment or datetime.fromisoformat(schedule.start_wall), zone)
    schedule.start_wall = wall.isoformat()
    first = _first(wall, start_utc, zone, schedule.recurrence)
    if first is not None and after_last_run is not None:
        # Earlier runs were missed and the schedule was then rescheduled: each due time may have only one run.
        first = first._replace(utc=max(first.utc, after_last_run))
    set_next(schedule, first)


def set_next(schedule: Schedule, occurrence: tuple[datetime, datetime] | None) -> None:
    schedule.next_wall = occurrence[0].isoformat() if occurrence else ""
    schedule.next_run_at = occurrence[1] if occurrence else None
    schedule.zone_release = zone_data.RELEASE
    schedule.moved_from = None


def preview(schedule: Schedule, *, count: int) -> Sequence[tuple[datetime, datetime]]:
    """Return the next `count` occurrences as (wall time, UTC), beginning with the next run."""
    if schedule.next_run_at is None:
        return []
    first = (datetime.fromisoformat(schedule.next_wall), schedule.next_run_at)
    position = Position(last=first[0], count=schedule.occurrences + 1)
    rest = recurrence.upcoming(
        rule=schedule.recurrence or None,
        start=datetime.fromisoformat(schedule.start_wall),
        tz=recurrence.zone(schedule.time_zone),
        position=position,
        count=count - 1,
    )
    return [first, *rest][:count]
