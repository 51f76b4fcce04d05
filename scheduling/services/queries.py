"""Message counts and samples for schedules, with a constant number of queries for any number of schedules."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery

from messaging.models import Message
from messaging.models.encrypted import opened
from scheduling.models import Schedule
from scheduling.services import texts

SAMPLE = 10
PREVIEWED = 5


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    to: str
    text: str
    encoding: str
    segments: int


def counts_by_status(schedule_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    found: dict[UUID, dict[str, int]] = {schedule_id: {} for schedule_id in schedule_ids}
    rows = Message.objects.filter(schedule_id__in=list(schedule_ids)).order_by()
    for schedule_id, status, count in rows.values_list("schedule_id", "status").annotate(count=Count("pk")):
        found[schedule_id][status] = count
    return found


def newest_messages(schedule_ids: Sequence[UUID]) -> dict[UUID, list[Message]]:
    """Return the 10 newest messages of each schedule, in two queries: 10 index look-ups per schedule, then the rows."""
    of_schedule = Message.objects.filter(schedule_id=OuterRef("pk")).order_by("-pk").values("pk")
    newest = {f"newest_{index}": Subquery(of_schedule[index : index + 1]) for index in range(SAMPLE)}
    rows = Schedule.objects.filter(pk__in=list(schedule_ids)).order_by().annotate(**newest).values_list(*newest)
    wanted = [pk for row in rows for pk in row if pk is not None]
    found: dict[UUID, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(pk__in=wanted).order_by("-pk"):
        if message.schedule_id is not None:
            found[message.schedule_id].append(message)
    return found


def rendered_sample(schedule: Schedule) -> tuple[list[RenderedMessage], int]:
    """Return the first recipients' texts, and how many segments one run takes for all recipients."""
    text = texts.of(schedule, texts.refresh(schedule))
    sample: list[RenderedMessage] = []
    total = 0
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")
    for number, variables in rows.iterator(chunk_size=2_000):
        rendered = text.render(opened(variables))
        if rendered is None:  # a later version of the template has another variable
            continue
        filled, counted = rendered
        total += counted.segments
        if len(sample) < PREVIEWED:
            sample.append(RenderedMessage(number, filled, str(counted.encoding), counted.segments))
    return sample, total
