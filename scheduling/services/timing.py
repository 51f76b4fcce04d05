"""From a schedule's row to its times and back. Wall times are naive, moments are UTC."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from messaging.services.errors import InvalidField
from scheduling import recurrence, zone_data
from scheduling.models import Schedule
from scheduling.recurrence import Occurrence, Position

# What `set_next` sets.
NEXT_FIELDS = ("next_wall", "next_run_at", "zone_release", "moved_from")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule fires: validated. `start_moment` where the client has named the moment and not the wall time."""

    time_zone: str
    recurrence: str
    start_wall: datetime
    start_moment: datetime | None
    first_wall: datetime
    first_moment: datetime


def check(*, run_at: datetime, time_zone: str, rule: str | None, now: datetime) -> Timing:
    """`run_at` is aware (a moment) or naive (a wall time in the zone). Raises `InvalidField`."""
    try:
        zone = recurrence.zone(time_zone)
    except recurrence.UnknownZone as error:
        raise InvalidField("time_zone", "unknown_time_zone", str(error)) from None
    try:
        text = _as_given(rule) if rule else ""
        wall, start_moment = _start(run_at, zone)
        if start_moment <= now:
            raise InvalidField("run_at", "in_the_past", "The time lies in the past.")
        first = _first(wall, start_moment, zone, text)
    except recurrence.InvalidRecurrence as error:
        raise InvalidField("recurrence", error.code, str(error)) from None
    except OverflowError:
        raise InvalidField("run_at", "invalid", "This time is out of range.") from None
    if first is None:
        raise InvalidField("recurrence", "never_fires", "This recurrence never fires.")
    return Timing(zone.key, text, wall, start_moment if run_at.tzinfo else None, first.wall, first.utc)


def _start(run_at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The start's wall time in the zone, and its moment."""
    if run_at.tzinfo is None:
        return run_at, recurrence.to_utc(run_at, zone)
    return run_at.astimezone(zone).replace(tzinfo=None, fold=0), run_at.astimezone(UTC)


def _first(wall: datetime, start_moment: datetime, zone: ZoneInfo, rule: str) -> Occurrence | None:
    first = recurrence.next_occurrence(rule=rule or None, start=wall, tz=zone, position=Position(last=None, count=0))
    # With an offset the client has named the moment, which matters where a wall time occurs twice.
    return Occurrence(wall, start_moment) if first is not None and first.wall == wall else first


def _as_given(rule: str) -> str:
    """The client's own spelling, checked, with the property's name in front of it."""
    recurrence.check(rule)
    return f"RRULE:{rule.strip().upper().removeprefix('RRULE:')}"


def position_of(schedule: Schedule) -> Position:
    last = datetime.fromisoformat(schedule.last_wall) if schedule.last_wall else None
    return Position(last=last, count=schedule.occurrences)


def advance(schedule: Schedule) -> None:
    """The next occurrence becomes the last one, and the one after it the next. Sets attributes only."""
    schedule.last_wall = schedule.next_wall
    schedule.occurrences += 1
    following = recurrence.next_occurrence(
        rule=schedule.recurrence or None,
        start=datetime.fromisoformat(schedule.start_wall),
        tz=recurrence.zone(schedule.time_zone),
        position=position_of(schedule),
    )
    previous = schedule.next_run_at
    if following is not None and following.utc <= previous:
        # The first run was asked for by its offset, in the second of two equal hours; the series counts from the first.
        skip_to(schedule, previous + timedelta(microseconds=1))
    else:
        set_next(schedule, following)


def skip_to(schedule: Schedule, moment: datetime) -> int:
    """Jump over the occurrences before `moment` and say how many there were. Sets attributes only."""
    series = {
        "rule": schedule.recurrence or None,
        "start": datetime.fromisoformat(schedule.start_wall),
        "tz": recurrence.zone(schedule.time_zone),
        "position": position_of(schedule),
    }
    found = recurrence.first_at_or_after(**series, moment_utc=moment)
    if found is None:
        rest = recurrence.upcoming(**series, count=sys.maxsize)
        schedule.last_wall = rest[-1].wall.isoformat() if rest else schedule.last_wall
        schedule.occurrences += len(rest)
        set_next(schedule, None)
        return len(rest)
    wall, utc, skipped, position = found
    schedule.last_wall = position.last.isoformat() if position.last else ""
    schedule.occurrences = position.count
    set_next(schedule, (wall, utc))
    return skipped


def recompute(schedule: Schedule, *, last_run: datetime | None) -> None:
    """The next run by the zone data of this process; `last_run` is the moment of the last one. Sets attributes only.

    Before the first occurrence the result is the one that the same request would get now: a start that was named by its
    offset keeps its moment, any other keeps its wall time. A series that has begun goes on after its last wall time, so no
    wall time runs twice, and only with moments after `last_run`: clocks that the new data set back repeat no run.
    """
    zone = recurrence.zone(schedule.time_zone)
    after_last_run = last_run + timedelta(microseconds=1) if last_run else None
    if schedule.last_wall:
        following = recurrence.next_occurrence(
            rule=schedule.recurrence or None,
            start=datetime.fromisoformat(schedule.start_wall),
            tz=zone,
            position=position_of(schedule),
        )
        set_next(schedule, following)
        if following is not None and after_last_run is not None and following.utc < after_last_run:
            skip_to(schedule, after_last_run)
        return
    wall, start_moment = _start(schedule.start_moment or datetime.fromisoformat(schedule.start_wall), zone)
    schedule.start_wall = wall.isoformat()
    first = _first(wall, start_moment, zone, schedule.recurrence)
    if first is not None and after_last_run is not None:
        # The runs before were missed and the schedule was given another time: one run for each moment.
        first = first._replace(utc=max(first.utc, after_last_run))
    set_next(schedule, first)


def set_next(schedule: Schedule, occurrence: tuple[datetime, datetime] | None) -> None:
    schedule.next_wall = occurrence[0].isoformat() if occurrence else ""
    schedule.next_run_at = occurrence[1] if occurrence else None
    schedule.zone_release = zone_data.RELEASE
    schedule.moved_from = None


def preview(schedule: Schedule, *, count: int) -> Sequence[tuple[datetime, datetime]]:
    """The next `count` occurrences as (wall, UTC), the next run included."""
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
