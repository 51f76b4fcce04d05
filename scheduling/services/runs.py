"""Starts due runs."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from messaging.event_types import EventType
from messaging.services import events
from messaging.services.representation import isoformat_utc
from scheduling import zone_data
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import timing

logger = logging.getLogger(__name__)

RunStatus = ScheduleRun.Status
UNFINISHED = (RunStatus.PENDING, RunStatus.EXPANDING)
MAX_STARTS = 200
# A run that starts later than this after its time was missed, for a schedule that makes up for none.
PUNCTUAL = timedelta(seconds=60)


def due(now: datetime) -> QuerySet[Schedule]:
    """Schedules whose next run was computed with older zone data wait for `zone_update`."""
    return Schedule.objects.filter(
        status=Schedule.Status.ACTIVE, next_run_at__lte=now, zone_release__gte=zone_data.RELEASE
    )


def start_due(*, now: datetime, max_lateness: timedelta) -> int:
    """Create a run for each due schedule, each in its own transaction; returns how many. Safe with any number of beats."""
    started = 0
    for schedule_id in list(due(now).order_by("next_run_at", "pk").values_list("pk", flat=True)[:MAX_STARTS]):
        with transaction.atomic():
            schedule = due(now).select_for_update(skip_locked=True).filter(pk=schedule_id).first()
            if schedule is None or schedule.next_run_at is None:
                continue
            if timing.is_left_out(schedule):
                _leave_out(schedule, now)
            else:
                _start(schedule, schedule.next_run_at, now, max_lateness)
                started += 1
    return started


def _leave_out(schedule: Schedule, now: datetime) -> None:
    """Move to the next run without one: a newer holiday calendar has this day."""
    logger.warning("schedule %s leaves out %s, a holiday of %s", schedule.pk, schedule.next_wall, schedule.holidays)
    newest = schedule.runs.order_by("-due_at").first()
    timing.recompute(schedule, last_run=newest.due_at if newest else None)
    complete_if_over(schedule, now=now)
    schedule.updated_at = now
    schedule.save(update_fields=["start_wall", *timing.POSITION_FIELDS, *timing.NEXT_FIELDS, "status", "updated_at"])


def _start(schedule: Schedule, due_at: datetime, now: datetime, max_lateness: timedelta) -> None:
    run = ScheduleRun(schedule=schedule, due_at=due_at)
    moved = (
        f"moved from {isoformat_utc(schedule.moved_from)} by tzdata {schedule.zone_release}"
        if schedule.moved_from
        else ""
    )
    superseded = 0
    latest = max_lateness if schedule.missed != Schedule.Missed.NONE else min(PUNCTUAL, max_lateness)
    if due_at < now - latest:
        _miss(schedule, run, now, latest)
    elif schedule.missed == Schedule.Missed.LATEST and (superseded := timing.skip_to_latest(schedule, now)):
        run.status, run.finished_at = RunStatus.MISSED, now
        more = f"; {superseded - 1} more were missed after it" if superseded > 1 else ""
        run.detail = f"a later run was due already{more}"
    elif schedule.runs.filter(status__in=UNFINISHED).exists():
        run.status, run.finished_at = RunStatus.SKIPPED, now
        run.detail = "the run before was still being expanded"
        timing.advance(schedule)
    else:
        timing.advance(schedule)
    run.detail = "; ".join(part for part in (run.detail, moved) if part)
    run.save(force_insert=True)
    if superseded and schedule.next_run_at is not None:
        # In the same transaction: with a rare tick, yet another run would be due, and this one would never start.
        _start(schedule, schedule.next_run_at, now, max_lateness)
        return
    if schedule.next_run_at is None and run.status != RunStatus.PENDING:
        complete_if_over(schedule, now=now)
    schedule.updated_at = now
    schedule.save(update_fields=[*timing.POSITION_FIELDS, *timing.NEXT_FIELDS, "status", "updated_at"])


def _miss(schedule: Schedule, run: ScheduleRun, now: datetime, max_lateness: timedelta) -> None:
    """Record consecutive missed runs as one row: a minutely schedule may have missed thousands."""
    run.status, run.finished_at = RunStatus.MISSED, now
    run.detail = f"more than {int(max_lateness.total_seconds())} s late"
    timing.advance(schedule)
    if schedule.next_run_at is not None and schedule.next_run_at < now - max_lateness:
        more = timing.skip_to(schedule, now - max_lateness)
        if more:
            run.detail += f"; {more} more were missed after it"
    logger.warning("schedule %s missed a run: %s", schedule.pk, run.detail)


def complete_if_over(schedule: Schedule, *, now: datetime) -> None:
    """Mark a schedule without a next or unfinished run as completed and record the event. The caller saves the schedule."""
    if schedule.next_run_at is None and not schedule.runs.filter(status__in=UNFINISHED).exists():
        schedule.status = Schedule.Status.COMPLETED
        events.record_data(
            owner_id=schedule.owner_id, event_type=EventType.SCHEDULE_COMPLETED, data=_summary(schedule, now), at=now
        )


def _summary(schedule: Schedule, now: datetime) -> dict[str, Any]:
    return {
        "id": str(schedule.pk),
        "name": schedule.name,
        "status": str(schedule.status),
        "queue": schedule.queue_id,
        "recurrence": timing.recurrence_text(schedule) or None,
        "time_zone": schedule.time_zone,
        "created_at": isoformat_utc(schedule.created_at),
        "completed_at": isoformat_utc(now),
    }
