"""Erases texts and recipients of ended schedules by the retention rules of messages."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from messaging.services.privacy.retention import Days, Rules
from scheduling.models import Schedule, ScheduleRecipient

CHUNK = 1_000
ENDED = (Schedule.Status.COMPLETED, Schedule.Status.CANCELED)


def erase_expired(*, now: datetime, chunks: int) -> int:
    """Erase what is past its retention, at most `chunks` chunks; returns how many texts and lists were erased completely.

    After the retention of texts, a schedule's text and its recipients' variables are erased; after the retention of rows, all
    its recipients. Its row, runs and counts stay. The next call continues an unfinished schedule.
    """
    rules = Rules()
    if rules.shortest is None:
        return 0
    ended = Schedule.objects.filter(status__in=ENDED, updated_at__lte=now - timedelta(days=rules.shortest)).order_by(
        "pk"
    )
    has_list = Exists(ScheduleRecipient.objects.filter(schedule=OuterRef("pk")))
    steps = ((ended.exclude(text=""), _shortest, _erase_text), (ended.filter(has_list), _row, _delete_recipients))
    total = 0
    for schedules, days, step in steps:
        for schedule_id in _due(schedules, days, rules, now):
            for is_done in step(schedule_id):
                chunks -= 1
                total += is_done
                if chunks <= 0:
                    return total
    return total


def _shortest(days: Days) -> int | None:
    return days.shortest


def _row(days: Days) -> int | None:
    return days.row


def _due(
    schedules: QuerySet[Schedule], days_of: Callable[[Days], int | None], rules: Rules, now: datetime
) -> list[UUID]:
    """Return the schedules past their own retention. An ended schedule never changes, so `updated_at` is when it ended."""
    found: list[UUID] = []
    for pk, owner_id, queue_id, ended_at in schedules.values_list("pk", "owner_id", "queue_id", "updated_at"):
        days = days_of(rules.days(owner_id, queue_id))
        if days is not None and ended_at <= now - timedelta(days=days):
            found.append(pk)
    return found


def _erase_text(schedule_id: UUID) -> Iterator[bool]:
    """Erase in chunks; yields True with the last one. The text is erased last, because it marks unfinished schedules."""
    recipients = ScheduleRecipient.objects.filter(schedule=schedule_id)
    while chunk := list(recipients.exclude(variables={}).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        recipients.filter(pk__in=chunk).update(variables={})
        yield False
    Schedule.objects.filter(pk=schedule_id).update(text="", parameters=None)
    yield True


def _delete_recipients(schedule_id: UUID) -> Iterator[bool]:
    recipients = ScheduleRecipient.objects.filter(schedule=schedule_id)
    while chunk := list(recipients.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        recipients.filter(pk__in=chunk).delete()
        yield False
    yield True
