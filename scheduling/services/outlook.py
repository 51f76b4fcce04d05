"""What a schedule will do: its next runs, what it leaves out before the last of them, and what is odd about its dates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from typing import NamedTuple

from scheduling import holiday_calendar, recurrence
from scheduling.models import Schedule
from scheduling.recurrence_dates import LeftOut
from scheduling.services import timing

MAX_LEFT_OUT = 100  # listed ones; a minutely rule leaves out 1,440 on a holiday
_LOOKED_AT = 20_000  # occurrences in which dates that match no run are searched for


class Run(NamedTuple):
    wall: datetime
    utc: datetime
    is_added: bool


class Omission(NamedTuple):
    """An occurrence that does not run. `reason` is `exdate` or `holiday`, `name` the holiday's or ""."""

    wall: datetime
    utc: datetime
    reason: str
    name: str


class Note(NamedTuple):
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outlook:
    runs: Sequence[Run]
    left_out: Sequence[Omission]
    notes: Sequence[Note]


def look_ahead(schedule: Schedule, *, count: int, now: datetime) -> Outlook:
    """Return the next `count` runs, beginning with the next one, and what is left out from `now` to the last of them.

    If the recurrence ends within these runs, what is left out after the last one is listed as well.
    """
    if schedule.next_run_at is None:
        return Outlook([], [], _notes(schedule, now))
    added = set(timing.dates_of(schedule).added)
    first_wall = datetime.fromisoformat(schedule.next_wall)
    runs = [Run(first_wall, schedule.next_run_at, first_wall.replace(microsecond=0) in added)]
    series = timing.series_of(schedule)
    omissions: list[Omission] = []
    for step in recurrence.steps(**series, left_out=LeftOut(series["dates"], series["tz"])):
        if step.left_out is None:
            if step.wall != first_wall and step.utc > schedule.next_run_at:
                runs.append(Run(step.wall, step.utc, step.wall.replace(microsecond=0) in added))
        elif step.utc >= now:
            omissions.append(Omission(step.wall, step.utc, *step.left_out))
        if len(runs) >= count or len(omissions) >= MAX_LEFT_OUT:
            break
    if len(runs) < count:
        # Many are left out: find the runs without listing the rest.
        rest: timing.Series = {**series, "position": timing.position_after_next(schedule)}
        runs[1:] = [
            Run(step.wall, step.utc, step.wall.replace(microsecond=0) in added)
            for step in islice(recurrence.steps(**rest), count - 1)
        ]
    moments = {run.utc for run in runs}  # a holiday that an added date runs on
    return Outlook(runs[:count], [each for each in omissions if each.utc not in moments], _notes(schedule, now))


def _notes(schedule: Schedule, now: datetime) -> list[Note]:
    problem = holiday_calendar.fault(schedule.holidays) if schedule.holidays else ""
    notes = [Note("unknown_calendar", problem)] if problem else []
    if schedule.left_out_dates and schedule.next_run_at is not None:
        notes += [
            Note("matches_no_run", f"EXDATE {_shown(each)} matches no run.") for each in _unmatched(schedule, now)
        ]
    return notes


def _unmatched(schedule: Schedule, now: datetime) -> list[date | datetime]:
    """Return the coming dates to leave out that match no occurrence, as far as occurrences are looked at."""
    series = timing.series_of(schedule)
    zone = series["tz"]
    coming = [each for each in sorted(series["dates"].left_out, key=_as_time) if _is_coming(each, now.astimezone(zone))]
    if not coming:
        return []
    without_holidays = replace(series["dates"], holidays="")  # a date that is also a holiday does match
    found, end = LeftOut(without_holidays, zone), max(_as_time(each, end=True) for each in coming)
    every: timing.Series = {**series, "dates": without_holidays}
    reached = end
    for number, step in enumerate(recurrence.steps(**every, left_out=found)):
        if step.wall > end or number == _LOOKED_AT:
            reached = step.wall
            break
    return [each for each in coming if each not in found.matched and _as_time(each, end=True) <= reached]


def _is_coming(each: date | datetime, now: datetime) -> bool:
    return _as_time(each, end=True) >= now.replace(tzinfo=None)


def _as_time(each: date | datetime, *, end: bool = False) -> datetime:
    if isinstance(each, datetime):
        return each
    return datetime.combine(each, datetime.max.time() if end else datetime.min.time())


def _shown(each: date | datetime) -> str:
    return f"{each:%Y-%m-%d %H:%M}" if isinstance(each, datetime) else f"{each:%Y-%m-%d}"
