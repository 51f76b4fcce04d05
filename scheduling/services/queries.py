"""Numbers and samples about schedules, at a constant number of queries for any number of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery

from messaging import segments
from messaging.models import Message
from messaging.models.encrypted import opened
from scheduling import templates
from scheduling.models import Schedule

SAMPLE = 10
PREVIEWED = 5


@dataclass(frozen=True, slots=True)
class Rendered:
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
    """The ten newest messages of each schedule: ten look-ups in the index for each, in one query, and one for the rows."""
    of_schedule = Message.objects.filter(schedule_id=OuterRef("pk")).order_by("-pk").values("pk")
    places = {f"place_{place}": Subquery(of_schedule[place : place + 1]) for place in range(SAMPLE)}
    rows = Schedule.objects.filter(pk__in=list(schedule_ids)).order_by().annotate(**places).values_list(*places)
    wanted = [pk for row in rows for pk in row if pk is not None]
    found: dict[UUID, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(pk__in=wanted).order_by("-pk"):
        found[message.schedule_id].append(message)
    return found


def rendered_sample(schedule: Schedule) -> tuple[list[Rendered], int]:
    """The first recipients' texts, and the segments of one run for everybody on the list."""
    template = templates.compile_template(schedule.text)
    sample: list[Rendered] = []
    total = 0
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")
    for number, variables in rows.iterator(chunk_size=2_000):
        text = template.render(opened(variables))
        measured = segments.measure(text)
        total += measured.segments
        if len(sample) < PREVIEWED:
            sample.append(Rendered(number, text, str(measured.encoding), measured.segments))
    return sample, total
