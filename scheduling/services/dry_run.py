"""What would become of a schedule: its runs, its texts, and who would get none if it ran now. Stores nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.contrib.auth.models import User

from messaging.models import OutboundQueue
from messaging.services.outbound.dry_run import CheckVerdict
from messaging.services.outbound.eligibility import Batch, Ending, Moment
from scheduling.models import Schedule
from scheduling.services import schedules, texts
from scheduling.services.expansion import addressed, prototype_of
from scheduling.services.outlook import Outlook, look_ahead
from scheduling.services.queries import PREVIEWED, RenderedMessage
from scheduling.services.recipients import Recipient
from scheduling.services.schedules import ScheduleInput

CHUNK = 2_000
SHOWN_RUNS = 5
# Of a template's variables: the list was checked against its text.
INCOMPLETE = (
    "invalid_variables",
    CheckVerdict.REFUSED,
    "The template's variables do not fit, or the text is too long.",
)


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How many recipients one check refuses or holds. `detail` is the sentence for all of them."""

    code: str
    verdict: CheckVerdict
    detail: str
    count: int


@dataclass(frozen=True, slots=True)
class ScheduleDryRun:
    """`schedule` is not stored. `total_segments` are those of one run, for the recipients that nothing refuses."""

    schedule: Schedule
    outlook: Outlook
    sample: Sequence[RenderedMessage]
    total_segments: int
    refusals: Sequence[RefusalCount]


def dry_run(
    *, owner: User, draft: ScheduleInput, recipients: Sequence[Recipient], default_queue: str, now: datetime
) -> ScheduleDryRun:
    """Raises what `schedules.create` raises. Two queries for each `CHUNK` recipients."""
    schedule, unique = schedules.build(
        owner=owner, draft=draft, recipients=recipients, default_queue=default_queue, now=now
    )
    schedule.queue = OutboundQueue.objects.get(pk=schedule.queue_id)
    text = texts.of(schedule, texts.refresh(schedule))
    sample: list[RenderedMessage] = []
    counts: Counter[tuple[str, CheckVerdict, str]] = Counter()
    total = 0
    rows = iter(unique)
    while chunk := list(islice(rows, CHUNK)):
        refused = _refused(schedule, chunk, now)
        for position, recipient in enumerate(chunk):
            found = refused.get(position)
            if found is not None:
                counts[found] += 1
            if found is None or found[1] is CheckVerdict.HELD:
                rendered = text.render(recipient.variables)
                if rendered is None:
                    counts[INCOMPLETE] += 1
                    continue
                filled, counted = rendered
                total += counted.segments
                if len(sample) < PREVIEWED:
                    sample.append(RenderedMessage(recipient.number, filled, str(counted.encoding), counted.segments))
    return ScheduleDryRun(
        schedule,
        look_ahead(schedule, count=SHOWN_RUNS, now=now),
        sample,
        total,
        [RefusalCount(code, verdict, detail, count) for (code, verdict, detail), count in counts.most_common()],
    )


def _refused(schedule: Schedule, chunk: Sequence[Recipient], now: datetime) -> dict[int, tuple[str, CheckVerdict, str]]:
    """Code, verdict and sentence by position in the chunk. A message of the batch has its position as its key."""
    prototype = prototype_of(schedule, now)
    batch = Batch((addressed(prototype, position, each.number) for position, each in enumerate(chunk)), now=now)
    batch.ignore_velocity()  # as a run does
    batch.replace_senders()
    found = {}
    for refusal in batch.refusals(Moment.ACCEPT).values():
        verdict = CheckVerdict.HELD if refusal.check.ends is Ending.DEFER else CheckVerdict.REFUSED
        # The sentence of the check, not of one recipient: thousands have different ones.
        found[int(refusal.message.pk)] = (refusal.check.code, verdict, refusal.check.detail)
    return found
