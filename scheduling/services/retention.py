"""Texts and lists of schedules that have ended, by the rules that hold for messages."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from messaging.services.privacy.retention import Days, Rules
from scheduling.models import Schedule, ScheduleRecipient

CHUNK = 1_000
ENDED = (Schedule.Status.COMPLETED, Schedule.Status.CANCELED)


def take(*, now: datetime, chunks: int) -> int:
    """What has had its time, at most so many chunks of recipients; returns how many schedules lost their text or their list.

    After the days for texts a schedule loses its text and its recipients' variables, after those for rows the whole list. The
    rest of it, with its runs and counts, stays. What is not finished the next call goes on with.
    """
    rules = Rules()
    if rules.least is None:
        return 0
    ended = Schedule.objects.filter(status__in=ENDED, updated_at__lte=now - timedelta(days=rules.least)).order_by("pk")
    has_list = Exists(ScheduleRecipient.objects.filter(schedule=OuterRef("pk")))
    steps = ((ended.exclude(text=""), _least, _take_text), (ended.filter(has_list), _row, _take_list))
    total = 0
    for schedules, days, step in steps:
        for schedule_id in _due(schedules, days, rules, now):
            for is_done in step(schedule_id):
                chunks -= 1
                total += is_done
                if chunks <= 0:
                    return total
    return total


def _least(days: Days) -> int | None:
    return days.least


def _row(days: Days) -> int | None:
    return days.row


def _due(
    schedules: QuerySet[Schedule], days_of: Callable[[Days], int | None], rules: Rules, now: datetime
) -> list[UUID]:
    """Ended that long ago by their own rule: an ended one is not changed any more, so `updated_at` is its end."""
    found = []
    for pk, owner_id, queue_id, ended_at in schedules.values_list("pk", "owner_id", "queue_id", "updated_at"):
        days = days_of(rules.days(owner_id, queue_id))
        if days is not None and ended_at <= now - timedelta(days=days):
            found.append(pk)
    return found


def _take_text(schedule_id: UUID) -> Iterator[bool]:
    """Chunk by chunk; true with the last one. The text goes last, it is what says that there is something left."""
    people = ScheduleRecipient.objects.filter(schedule=schedule_id)
    while chunk := list(people.exclude(variables={}).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        people.filter(pk__in=chunk).update(variables={})
        yield False
    Schedule.objects.filter(pk=schedule_id).update(text="")
    yield True


def _take_list(schedule_id: UUID) -> Iterator[bool]:
    people = ScheduleRecipient.objects.filter(schedule=schedule_id)
    while chunk := list(people.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        people.filter(pk__in=chunk).delete()
        yield False
    yield True
