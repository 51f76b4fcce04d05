"""Changes the coming dates of a schedule that has begun: which it leaves out, which it adds, and its holidays."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from django.db import transaction

from messaging.services.errors import InvalidField
from scheduling import recurrence, recurrence_dates
from scheduling.models import Schedule
from scheduling.recurrence import Dates
from scheduling.recurrence_lines import MAX_DATES
from scheduling.services import timing
from scheduling.services.errors import ScheduleEnded

FIELDS = frozenset({"recurrence", "holidays"})
LOOKED_AT = 20_000  # occurrences in which a time is looked up
ENDED = frozenset({Schedule.Status.CANCELED, Schedule.Status.COMPLETED})


def leave_out(*, schedule_id: UUID, at: datetime, now: datetime) -> Schedule:
    """Leave out the coming run at `at` (UTC); an added date is taken back. Raises `ScheduleEnded` or `InvalidField`."""
    return _edit(schedule_id, at, now, without)


def put_back(*, schedule_id: UUID, at: datetime, now: datetime) -> Schedule:
    """Run at `at` (UTC) after all or in addition, also on a holiday. Raises `ScheduleEnded` or `InvalidField`.

    A day that is left out as a whole is put back as a whole.
    """
    return _edit(schedule_id, at, now, with_run)


def _edit(schedule_id: UUID, at: datetime, now: datetime, edited: Callable[[Schedule, datetime], Dates]) -> Schedule:
    if at <= now:
        raise InvalidField("at", "in_the_past", "The time is in the past.")
    with transaction.atomic():
        schedule = locked(schedule_id)
        _apply(schedule, edited(schedule, at), now)
        schedule.updated_at = now
        schedule.save(
            update_fields=[
                "start_wall",
                *timing.DATE_FIELDS,
                *timing.POSITION_FIELDS,
                *timing.NEXT_FIELDS,
                "updated_at",
            ]
        )
    return schedule


def without(schedule: Schedule, at: datetime) -> Dates:
    """Return the schedule's dates such that it does not run at `at` (UTC)."""
    wall, dates = _wall_at(schedule, at), timing.dates_of(schedule)
    kept = tuple(each for each in dates.added if not _is_at(schedule, each, at))
    was_added, dates = kept != dates.added, replace(dates, added=kept)
    if was_added and not _runs_at(schedule, at, dates):
        return dates
    return replace(dates, left_out=dates.left_out | {wall})


def with_run(schedule: Schedule, at: datetime) -> Dates:
    """Return the schedule's dates such that it runs at `at` (UTC). Raises `InvalidField` for a new date before the start."""
    wall, dates = _wall_at(schedule, at), timing.dates_of(schedule)
    others = frozenset(each for each in dates.left_out if each != wall.date() and not _is_at(schedule, each, at))
    dates = replace(dates, left_out=others)
    if _runs_at(schedule, at, dates):
        return dates
    if wall < datetime.fromisoformat(schedule.start_wall).replace(microsecond=0):
        raise InvalidField("recurrence", "invalid", "An added date must be after the first run.")
    return replace(dates, added=tuple(sorted({*dates.added, wall})))


def _wall_at(schedule: Schedule, at: datetime) -> datetime:
    try:
        return at.astimezone(recurrence.zone(schedule.time_zone)).replace(tzinfo=None, fold=0, microsecond=0)
    except OverflowError:
        raise InvalidField("at", "invalid", "This time is out of range.") from None


def _is_at(schedule: Schedule, each: date | datetime, at: datetime) -> bool:
    """Whether a date is this moment: where clocks skip an hour, several wall times are. A whole day is none."""
    zone = recurrence.zone(schedule.time_zone)
    return isinstance(each, datetime) and recurrence.to_utc(each, zone) == at.replace(microsecond=0)


def _runs_at(schedule: Schedule, at: datetime, dates: Dates) -> bool:
    series: timing.Series = {**timing.series_of(schedule), "dates": dates}
    moments = (step.utc.replace(microsecond=0) for step in islice(recurrence.steps(**series), LOOKED_AT))
    return at.replace(microsecond=0) in takewhile(lambda moment: moment <= at, moments)


def are_all(schedule: Schedule, changes: Mapping[str, Any]) -> bool:
    """Whether `changes` has nothing but holidays, and a recurrence with the schedule's own rule. Raises `InvalidField`."""
    if not changes or not changes.keys() <= FIELDS:
        return False
    if "recurrence" not in changes:
        return True
    present = recurrence.check(schedule.recurrence) if schedule.recurrence else ""
    return present == _rule_of(changes["recurrence"])


def _rule_of(text: str | None) -> str:
    try:
        rule = recurrence.separate(text).rule if text else ""
        return recurrence.check(rule) if rule else ""
    except recurrence.InvalidRecurrence as error:
        raise InvalidField("recurrence", error.code, str(error)) from None


def change(schedule: Schedule, changes: Mapping[str, Any], *, now: datetime) -> None:
    """Take the dates of a recurrence whose rule is the schedule's, and holidays. The caller holds the row's lock, and saves.

    Dates that are over stay as they are; a new one is refused. Raises `InvalidField`.
    """
    dates = timing.dates_of(schedule)
    if "recurrence" in changes:
        dates = _with_coming(schedule, dates, changes["recurrence"], now)
    if "holidays" in changes:
        dates = replace(dates, holidays=timing.check_holidays(changes["holidays"]))
    _apply(schedule, dates, now)


def _with_coming(schedule: Schedule, dates: Dates, text: str | None, now: datetime) -> Dates:
    zone, start = recurrence.zone(schedule.time_zone), datetime.fromisoformat(schedule.start_wall)
    today = now.astimezone(zone).replace(tzinfo=None)
    try:
        given = recurrence.separate(text) if text else None
        left_out, added = recurrence_dates.resolve(
            given.left_out if given else (), given.added if given else (), start=start, tz=zone
        )
    except recurrence.InvalidRecurrence as error:
        raise InvalidField("recurrence", error.code, str(error)) from None
    for name, new, old in (("EXDATE", left_out, dates.left_out), ("RDATE", frozenset(added), frozenset(dates.added))):
        if over := sorted(map(str, _over(new, today) - old)):
            raise InvalidField("recurrence", "in_the_past", f"{name} {over[0]} is in the past.")
    return replace(
        dates,
        left_out=_over(dates.left_out, today) | (left_out - _over(left_out, today)),
        added=tuple(
            sorted({*(each for each in dates.added if each <= today), *(each for each in added if each > today)})
        ),
    )


def _over(dates: Iterable[date | datetime], now: datetime) -> frozenset[date | datetime]:
    """Return those before `now`. Today is over as a whole day only tomorrow."""
    return frozenset(each for each in dates if (each <= now if isinstance(each, datetime) else each < now.date()))


def _apply(schedule: Schedule, dates: Dates, now: datetime) -> None:
    """Set the dates and compute the next run, which never is one before `now`. A run that is due already stays due."""
    if len(dates.left_out) + len(dates.added) > MAX_DATES:
        raise InvalidField("recurrence", "invalid_recurrence", f"A schedule has at most {MAX_DATES} dates.")
    timing.set_dates(schedule, dates)
    if schedule.next_run_at is not None and schedule.next_run_at <= now:
        return
    newest = schedule.runs.order_by("-due_at").first()
    timing.recompute(schedule, last_run=newest.due_at if newest else None)
    if schedule.next_run_at is not None and schedule.next_run_at <= now:
        # Something that was left out in the past is not any more; it does not run late.
        timing.skip_to(schedule, now.astimezone(UTC))
    if schedule.next_run_at is None:
        raise InvalidField("recurrence", "never_fires", "No run would be left; cancel the schedule instead.")


def locked(schedule_id: UUID) -> Schedule:
    """Return the schedule with its row locked. Raises `ScheduleEnded`."""
    schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
    if schedule.status in ENDED:
        raise ScheduleEnded(f"The schedule is {schedule.status}.")
    return schedule
