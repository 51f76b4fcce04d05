"""Computes the next run of a schedule. Wall times are naive datetimes, all others are in UTC."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from messaging.services.errors import InvalidField
from scheduling import holiday_calendar, recurrence, recurrence_dates, zone_data
from scheduling.models import Schedule
from scheduling.recurrence import Dates, Occurrence, Position

# The fields that `set_next` sets, and those of the position.
NEXT_FIELDS = ("next_wall", "next_run_at", "zone_release", "moved_from")
POSITION_FIELDS = ("last_wall", "last_added_wall", "occurrences")
DATE_FIELDS = ("left_out_dates", "added_dates", "holidays")


@dataclass(frozen=True, slots=True)
class Timing:
    """A validated start and recurrence. `start_moment` is the start in UTC if it was given with an offset, else None."""

    time_zone: str
    recurrence: str
    dates: Dates
    start_wall: datetime
    start_moment: datetime | None
    first_wall: datetime
    first_utc: datetime


def check(*, run_at: datetime, time_zone: str, rule: str | None, now: datetime, holidays: str | None = None) -> Timing:
    """Validate a start, a rule with EXDATE and RDATE lines, and the code of a holiday calendar. Raises `InvalidField`.

    `run_at` is aware, or naive for a wall time in the zone.
    """
    try:
        zone = recurrence.zone(time_zone)
    except recurrence.UnknownZone as error:
        raise InvalidField("time_zone", "unknown_time_zone", str(error)) from None
    calendar = check_holidays(holidays)
    try:
        wall, start_utc = _start(run_at, zone)
        text, left_out, added = _as_given(rule, wall=wall, utc=start_utc, zone=zone) if rule else ("", frozenset(), ())
        dates = Dates(left_out, added, calendar)
        if start_utc <= now:
            raise InvalidField("run_at", "in_the_past", "The time is in the past.")
        first = _first(wall, start_utc, zone, text, dates)
    except recurrence.InvalidRecurrence as error:
        raise InvalidField("recurrence", error.code, str(error)) from None
    except OverflowError:
        raise InvalidField("run_at", "invalid", "This time is out of range.") from None
    if first is None:
        raise InvalidField("recurrence", "never_fires", "This recurrence never fires.")
    moment = start_utc if run_at.tzinfo else None
    return Timing(zone.key, text, dates, wall, moment, first.wall, first.utc)


def check_holidays(code: str | None) -> str:
    """Return the code of a holiday calendar as the library writes it, "" for none. Raises `InvalidField`."""
    try:
        return holiday_calendar.check(code) if code else ""
    except holiday_calendar.UnknownCalendar as error:
        raise InvalidField("holidays", "unknown_calendar", str(error)) from None


def _start(run_at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the start's wall time in the zone, and in UTC."""
    if run_at.tzinfo is None:
        return run_at, recurrence.to_utc(run_at, zone)
    return run_at.astimezone(zone).replace(tzinfo=None, fold=0), run_at.astimezone(UTC)


def _first(wall: datetime, start_utc: datetime, zone: ZoneInfo, rule: str, dates: Dates) -> Occurrence | None:
    position = Position(last=None, count=0)
    first = recurrence.next_occurrence(rule=rule or None, start=wall, tz=zone, position=position, dates=dates)
    # Where a wall time occurs twice, the offset that the client gave says which of the two.
    return Occurrence(wall, start_utc) if first is not None and first.wall == wall else first


def _as_given(
    text: str, *, wall: datetime, utc: datetime, zone: ZoneInfo
) -> tuple[str, frozenset[date | datetime], tuple[datetime, ...]]:
    """Check the lines; returns the rule in the client's order of parts, with the prefix `RRULE:`, and the dates.

    A DTSTART line must be the start. Raises `InvalidRecurrence`.
    """
    written = recurrence.separate(text)
    rule = f"RRULE:{written.rule}" if written.rule else ""
    if rule:
        recurrence.check(rule)
    if written.start is not None and not written.start.agrees(wall=wall, utc=utc, zone=zone.key):
        raise recurrence.InvalidRecurrence("DTSTART is not the start that run_at and time_zone give; leave it out.")
    return rule, *recurrence_dates.resolve(written.left_out, written.added, start=wall, tz=zone)


def dates_of(schedule: Schedule) -> Dates:
    added = [each for each in recurrence_dates.read(schedule.added_dates) if isinstance(each, datetime)]
    left_out = frozenset(recurrence_dates.read(schedule.left_out_dates))
    return Dates(left_out, tuple(added), schedule.holidays)


def set_dates(schedule: Schedule, dates: Dates) -> None:
    schedule.left_out_dates = recurrence_dates.stored(dates.left_out)
    schedule.added_dates = recurrence_dates.stored(dates.added)
    schedule.holidays = dates.holidays


def recurrence_text(schedule: Schedule) -> str:
    """Return the rule with its EXDATE and RDATE lines, times in the schedule's zone; "" for one run."""
    return _joined(schedule, recurrence.zone(schedule.time_zone))


def movable_recurrence_text(schedule: Schedule) -> str:
    """Return the same for another zone: dates stay at their moments as the start does, or else at their wall times."""
    if schedule.start_moment:
        return _joined(schedule, recurrence.zone(schedule.time_zone), in_utc=True)
    return wall_recurrence_text(schedule)


def wall_recurrence_text(schedule: Schedule) -> str:
    """Return the same with bare wall times, as a form shows them beside the zone."""
    return _joined(schedule, None)


def _joined(schedule: Schedule, tz: ZoneInfo | None, *, in_utc: bool = False) -> str:
    dates = recurrence_dates.lines(dates_of(schedule), tz, in_utc=in_utc)
    return "\n".join(([schedule.recurrence] if schedule.recurrence else []) + dates)


class Series(TypedDict):
    """The arguments of the functions of `recurrence`."""

    rule: str | None
    start: datetime
    tz: ZoneInfo
    position: Position
    dates: Dates


def series_of(schedule: Schedule) -> Series:
    return {
        "rule": schedule.recurrence or None,
        "start": datetime.fromisoformat(schedule.start_wall),
        "tz": recurrence.zone(schedule.time_zone),
        "position": position_of(schedule),
        "dates": dates_of(schedule),
    }


def position_of(schedule: Schedule) -> Position:
    last, added = (
        datetime.fromisoformat(wall) if wall else None for wall in (schedule.last_wall, schedule.last_added_wall)
    )
    return Position(last=last, count=schedule.occurrences, added=added)


def _set_position(schedule: Schedule, position: Position) -> None:
    schedule.last_wall = position.last.isoformat() if position.last else ""
    schedule.last_added_wall = position.added.isoformat() if position.added else ""
    schedule.occurrences = position.count


def advance(schedule: Schedule) -> None:
    """Move to the following occurrence: the next one becomes the last one. The caller saves the schedule."""
    _set_position(schedule, position_after_next(schedule))
    following = _following(schedule)
    previous = schedule.next_run_at
    if following is not None and previous is not None and following.utc <= previous:
        # The start was given with the offset of the second of two equal hours; the rule counts from the first hour.
        skip_to(schedule, previous + timedelta(microseconds=1))
    else:
        set_next(schedule, following)


def position_after_next(schedule: Schedule) -> Position:
    return recurrence.position_after(datetime.fromisoformat(schedule.next_wall), **series_of(schedule))


def _following(schedule: Schedule) -> Occurrence | None:
    return recurrence.next_occurrence(**series_of(schedule))


def is_left_out(schedule: Schedule) -> bool:
    """Whether the next run is on a day that the holiday calendar did not have when the run was computed."""
    if not schedule.holidays or not schedule.next_wall:
        return False
    first = next(recurrence.steps(**series_of(schedule)), None)
    return first is None or first.wall != datetime.fromisoformat(schedule.next_wall)


def skip_to(schedule: Schedule, at: datetime) -> int:
    """Skip the occurrences before `at` and return how many were skipped. The caller saves the schedule."""
    series = series_of(schedule)
    found = recurrence.first_at_or_after(**series, not_before=at)
    if found is None:
        skipped, position = recurrence.skip_all(**series)
        _set_position(schedule, position)
        set_next(schedule, None)
        return skipped
    wall, utc, skipped, position = found
    _set_position(schedule, position)
    set_next(schedule, (wall, utc))
    return skipped


def skip_to_latest(schedule: Schedule, at: datetime) -> int:
    """Skip the occurrences that a later one, still not after `at`, supersedes; return how many. The caller saves the schedule.

    Takes time in proportion to them.
    """
    if not (schedule.recurrence or schedule.added_dates) or schedule.next_run_at is None:
        return 0
    skipped, latest = 0, None
    position = position_after_next(schedule)
    series: Series = {**series_of(schedule), "position": position}
    for step in recurrence.steps(**series):
        if step.utc > at:
            break
        # Not later is what the first of two equal hours had, for a start that was given with the offset of the second one.
        if step.utc > schedule.next_run_at:
            skipped, latest = skipped + 1, (step, position)
        position = step.position
    if latest is not None:
        step, position = latest
        _set_position(schedule, position)
        set_next(schedule, (step.wall, step.utc))
    return skipped


def recompute(schedule: Schedule, *, last_run: datetime | None) -> None:
    """Compute the next run with this process's zone data. `last_run` is when the last run was due. The caller saves.

    Before the first occurrence, the result is what the same request would get now: a start that was given with an offset keeps
    its UTC time, and its dates with it, any other start keeps its wall time. After it, the next run is later than the last
    wall time and later than `last_run`: no wall time runs twice, also if the new data turns clocks back.
    """
    zone = recurrence.zone(schedule.time_zone)
    after_last_run = last_run + timedelta(microseconds=1) if last_run else None
    if schedule.has_begun:
        following = _following(schedule)
        set_next(schedule, following)
        if following is not None and after_last_run is not None and following.utc < after_last_run:
            skip_to(schedule, after_last_run)
        return
    wall, start_utc = _start(schedule.start_moment or datetime.fromisoformat(schedule.start_wall), zone)
    _move_dates(schedule, wall - datetime.fromisoformat(schedule.start_wall))
    schedule.start_wall = wall.isoformat()
    first = _first(wall, start_utc, zone, schedule.recurrence, dates_of(schedule))
    if first is not None and after_last_run is not None:
        # Earlier runs were missed and the schedule was then rescheduled: each due time may have only one run.
        first = first._replace(utc=max(first.utc, after_last_run))
    set_next(schedule, first)


def _move_dates(schedule: Schedule, by: timedelta) -> None:
    """Keep dates beside the rule whose start has moved: what is left out stays so. BYHOUR has wall times that do not move."""
    if not by or "BYHOUR=" in schedule.recurrence:
        return
    dates = dates_of(schedule)
    left_out = frozenset(each + by if isinstance(each, datetime) else each for each in dates.left_out)
    set_dates(schedule, replace(dates, left_out=left_out, added=tuple(each + by for each in dates.added)))


def as_schedule(when: Timing) -> Schedule:
    """Return a schedule that is not stored, to look ahead with."""
    schedule = Schedule(
        time_zone=when.time_zone,
        recurrence=when.recurrence,
        start_wall=when.start_wall.isoformat(),
        start_moment=when.start_moment,
    )
    set_dates(schedule, when.dates)
    set_next(schedule, (when.first_wall, when.first_utc))
    return schedule


def set_next(schedule: Schedule, occurrence: tuple[datetime, datetime] | None) -> None:
    schedule.next_wall = occurrence[0].isoformat() if occurrence else ""
    schedule.next_run_at = occurrence[1] if occurrence else None
    schedule.zone_release = zone_data.RELEASE
    schedule.moved_from = None
