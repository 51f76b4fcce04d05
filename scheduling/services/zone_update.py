"""Recomputes next runs that were computed with older zone data."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from messaging.services.representation import isoformat_utc
from scheduling import zone_data
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import runs, timing

logger = logging.getLogger(__name__)

CHUNK = 1_000
CHANGED_FIELDS = ("start_wall", *timing.DATE_FIELDS, *timing.POSITION_FIELDS, *timing.NEXT_FIELDS)
# Raised for a stored zone or rule that the current libraries no longer accept.
_REFUSALS = (ValueError, ArithmeticError)


def outdated() -> QuerySet[Schedule]:
    return Schedule.objects.filter(next_run_at__isnull=False, zone_release__lt=zone_data.RELEASE)


def recompute_waiting(*, now: datetime) -> int:
    """Recompute one chunk, next runs first, and log each run that moved; returns how many rows were checked.

    Each row stores the release that its time was computed with, so the next tick continues an interrupted update. Only newer
    data recomputes: during an upgrade two versions do not undo each other's work. Paused schedules are included.
    """
    if not outdated().exists():
        return 0
    with transaction.atomic():
        newest_run = ScheduleRun.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("due_at")[:1]
        rows = outdated().annotate(last_run=Subquery(newest_run)).defer("text").select_for_update(skip_locked=True)
        chunk = [(row, row.next_run_at, row.last_run) for row in rows.order_by("zone_release", "next_run_at")[:CHUNK]]
        changed = [
            (schedule, old)
            for schedule, old, last_run in chunk
            if old is not None and _recompute(schedule, last_run=last_run, now=now)
        ]
        unchanged = {schedule.pk for schedule, _, _ in chunk} - {schedule.pk for schedule, _ in changed}
        Schedule.objects.filter(pk__in=unchanged).update(zone_release=zone_data.RELEASE)
    for schedule, old in changed:
        if schedule.next_run_at != old:
            _log_move(schedule, old)
    return len(chunk)


def _recompute(schedule: Schedule, *, last_run: datetime | None, now: datetime) -> bool:
    """Store the new times; returns False if only the release changes."""
    before = [getattr(schedule, name) for name in ("start_wall", "next_wall", "next_run_at")]
    moved_from, old = schedule.moved_from, schedule.next_run_at
    try:
        timing.recompute(schedule, last_run=last_run)
    except _REFUSALS as error:
        logger.error("the next run of schedule %s was not recomputed: %s", schedule.pk, error)
        return False
    if before == [schedule.start_wall, schedule.next_wall, schedule.next_run_at]:
        return False
    schedule.moved_from = moved_from if schedule.next_run_at == old else old
    schedule.updated_at = now
    runs.complete_if_over(schedule, now=now)
    schedule.save(update_fields=[*CHANGED_FIELDS, "status", "updated_at"])
    return True


def _log_move(schedule: Schedule, old: datetime) -> None:
    new = isoformat_utc(schedule.next_run_at) if schedule.next_run_at else "no run"
    logger.warning(
        "schedule %s in %s moved from %s to %s by tzdata %s",
        schedule.pk,
        schedule.time_zone,
        isoformat_utc(old),
        new,
        zone_data.RELEASE,
    )
