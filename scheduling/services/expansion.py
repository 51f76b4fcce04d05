"""Expand runs into messages in chunks: memory is bounded, and after a crash the next chunk continues at the cursor."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from uuid_utils.compat import uuid7

from messaging.categories import Priority, priority_of
from messaging.database_faults import may_pass
from messaging.encryption import CannotBeOpened
from messaging.models import Message
from messaging.models.encrypted import opened
from messaging.policy.velocity import Counting
from messaging.services.costs import budgets
from messaging.services.outbound import bulk_insert, eligibility, sender_pools, sender_rules
from messaging.services.outbound.bulk_insert import OwnVariant, Variant
from messaging.services.outbound.eligibility import Batch, Refusal
from messaging.states import Direction, Source, Status
from providers.models import SenderNumber
from scheduling.models import Schedule, ScheduleRecipient, ScheduleRun
from scheduling.services import runs, texts
from scheduling.services.texts import RunText

logger = logging.getLogger(__name__)

RunStatus = ScheduleRun.Status
LEASE = timedelta(seconds=30)
# One run is expanded for this long before the next due run continues.
TIME_SLICE_SECONDS = 2.0

# The columns of a run that count the recipients it skipped, by the code of the check that refused them.
COUNTED_AS = {
    eligibility.RECIPIENT_INACTIVE.code: "skipped_inactive",
    eligibility.RECIPIENT_OPTED_OUT.code: "skipped_opted_out",
}


def unleased(now: datetime) -> QuerySet[ScheduleRun]:
    """Unfinished runs that no worker has leased."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    return ScheduleRun.objects.filter(free, status__in=runs.UNFINISHED)


def unfinished(*, now: datetime) -> list[UUID]:
    """Return up to 100 unfinished runs that no worker has leased, oldest first."""
    return list(unleased(now).order_by("due_at", "pk").values_list("pk", flat=True)[:100])


def expand_all(
    *,
    clock: Callable[[], datetime] = timezone.now,
    after_chunk: Callable[[str], None] = lambda queue_name: None,
    stopping: Callable[[], bool] = lambda: False,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Expand all unleased runs in turn, one time slice each, until none is left; returns how many messages were created.

    A run that cannot be expanded does not block the others: it is skipped until its lease expires.
    """
    total = 0
    while not stopping() and (waiting := unfinished(now=clock())):
        for run_id in waiting:
            slice_is_over = _deadline(monotonic() + TIME_SLICE_SECONDS, monotonic, stopping)
            try:
                total += expand(run_id, clock=clock, after_chunk=after_chunk, stopping=slice_is_over)
            except Exception as fault:
                if may_pass(fault):
                    raise
                logger.error("run %s cannot be expanded: %s", run_id, type(fault).__name__)
    return total


def _deadline(ends: float, monotonic: Callable[[], float], stopping: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: stopping() or monotonic() >= ends


def expand(
    run_id: UUID,
    *,
    clock: Callable[[], datetime] = timezone.now,
    after_chunk: Callable[[str], None] = lambda queue_name: None,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Expand a run to its end and return how many messages were created; 0 if another worker has leased it.

    `after_chunk` is called with the queue's name after each commit. The lease only saves work. Duplicate messages are prevented
    by the row lock, by the cursor, which is stored in the chunk's transaction, and by the unique constraint. A run whose texts
    cannot be opened is tried again when its lease expires.
    """
    now = clock()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    if not ScheduleRun.objects.filter(free, pk=run_id, status__in=runs.UNFINISHED).update(lease_until=now + LEASE):
        return 0
    total = 0
    while not stopping():
        try:
            made, queue_name = expand_chunk(run_id, now=clock())
        except CannotBeOpened as fault:
            logger.error("run %s waits: its text or variables cannot be opened: %s", run_id, fault)
            return total
        if queue_name is None:
            return total
        total += made
        after_chunk(queue_name)
    ScheduleRun.objects.filter(pk=run_id).update(lease_until=None)
    return total


def expand_chunk(run_id: UUID, *, now: datetime) -> tuple[int, str | None]:
    """Expand one chunk in one transaction; returns how many messages were created and the queue, None at the run's end."""
    with transaction.atomic():
        # Lock order everywhere: the schedule, then its run.
        schedule_id = ScheduleRun.objects.values_list("schedule_id", flat=True).get(pk=run_id)
        schedule = (
            Schedule.objects.select_related("queue", "template").select_for_update(of=("self",)).get(pk=schedule_id)
        )
        run = ScheduleRun.objects.select_for_update().get(pk=run_id)
        if run.status not in runs.UNFINISHED:
            return 0, None
        recipients = list(
            ScheduleRecipient.objects.filter(schedule=schedule, pk__gt=run.cursor)
            .order_by("pk")
            .values_list("pk", "number", "variables")[: bulk_insert.batch_size()]
        )
        if not recipients:
            _finish(run, schedule, now)
            return 0, None
        made = _write(run, schedule, recipients, now)
        run.status = RunStatus.EXPANDING
        run.started_at = run.started_at or now
        run.cursor = recipients[-1][0]
        run.lease_until = now + LEASE
        run.save()
    return made, schedule.queue_id


def _write(
    run: ScheduleRun, schedule: Schedule, recipients: list[tuple[int, str, dict[str, str]]], now: datetime
) -> int:
    text = texts.of(schedule, texts.pin(schedule, run))
    prototype = prototype_of(schedule, now, run)
    if not prototype.from_number and schedule.queue_id not in sender_pools.current().pools:
        prototype.from_number = SenderNumber.default_of(schedule.owner_id)
    first, last = recipients[0][0], recipients[-1][0]
    batch = Batch(
        (addressed(prototype, pk, number) for pk, number, _ in recipients),
        now=now,
        numbers=ScheduleRecipient.objects.filter(schedule=schedule, pk__range=(first, last)).values("number"),
        counting=Counting.NOTE,  # a run is never cut short by a velocity limit, but its texts count
    )
    refused = cast("dict[int, Refusal]", batch.admit())  # by recipient: see `addressed`
    lost: set[int] = set()
    try:
        made = _store(run, prototype, batch, recipients=recipients, text=text, refused=refused, lost=lost, now=now)
    except Exception:
        batch.release()
        raise
    if lost:
        kept = {pk for pk, _, _ in recipients if pk not in lost}
        batch.release(stored=cast("set[UUID]", kept))
    run.created_messages += made
    return made


def _store(
    run: ScheduleRun,
    prototype: Message,
    batch: Batch,
    *,
    recipients: list[tuple[int, str, dict[str, str]]],
    text: RunText,
    refused: dict[int, Refusal],
    lost: set[int],
    now: datetime,
) -> int:
    """Add to `lost` the recipients that were not refused and get no message all the same."""
    own = {message.to_number: message for message in batch.messages if _is_own(message, prototype)}
    variants: Iterable[Variant] = _variants(run, text, recipients, refused, lost)
    ids: list[str] | None = None
    if budgets.concern(prototype.owner_id):
        ids, variants, over_budget = _charged(run, prototype, list(variants), now)
        lost.update(pk for pk, number, _ in recipients if number in over_budget)
    if own:
        return bulk_insert.store(
            prototype,
            _with_own_values(variants, own, prototype),
            source=Source.SCHEDULE,
            columns=OwnVariant._fields,
            details={
                number: sender_rules.announced(message) for number, message in own.items() if message.replaced_sender
            },
            ids=ids,
        )
    return bulk_insert.store(prototype, variants, source=Source.SCHEDULE, ids=ids)


def _is_own(message: Message, prototype: Message) -> bool:
    """Whether the message waits for an hour, or has another sender than the schedule: that of a pool, or the fallback."""
    return bool(message.error_code) or message.from_number != prototype.from_number


def _variants(
    run: ScheduleRun,
    text: RunText,
    recipients: list[tuple[int, str, dict[str, str]]],
    refused: dict[int, Refusal],
    lost: set[int],
) -> Iterator[Variant]:
    """Render the messages one by one, while the database inserts the previous ones; count the skipped recipients in the run."""
    for pk, number, variables in recipients:
        if pk in refused:
            column = COUNTED_AS.get(refused[pk].check.code, "skipped_invalid")
            setattr(run, column, getattr(run, column) + 1)
        elif (rendered := text.render(opened(variables))) is None:
            run.skipped_invalid += 1
            lost.add(pk)
        else:
            filled, counted = rendered
            yield Variant(number, filled, counted.encoding, counted.segments)


def _charged(
    run: ScheduleRun, prototype: Message, variants: list[Variant], now: datetime
) -> tuple[list[str], list[Variant], set[str]]:
    """Of the messages that the owner's budgets have room for the ids, and themselves; the numbers of the others.

    The others are counted in the run.
    """
    drafts = [
        bulk_insert.like(prototype, id=uuid7(), to_number=variant.to_number, segments=variant.segments)
        for variant in variants
    ]
    refused = budgets.charge(drafts, now=now)
    run.skipped_over_budget += len(refused)
    kept = [(str(draft.pk), each) for draft, each in zip(drafts, variants, strict=True) if draft.pk not in refused]
    over_budget = {draft.to_number for draft in drafts if draft.pk in refused}
    return [key for key, _ in kept], [variant for _, variant in kept], over_budget


def _with_own_values(
    variants: Iterable[Variant], own: Mapping[str, Message], prototype: Message
) -> Iterator[OwnVariant]:
    """Add when each message may be sent, why it waits, and its sender, by its recipient's number."""
    for variant in variants:
        message = own.get(variant.to_number, prototype)
        yield OwnVariant(
            *variant,
            message.next_attempt_at,
            message.expires_at,
            message.error_code,
            message.error_detail,
            message.from_number,
        )


def prototype_of(schedule: Schedule, now: datetime, run: ScheduleRun | None = None) -> Message:
    """The values that all messages of a run have."""
    return Message(
        direction=Direction.OUTBOUND,
        status=Status.QUEUED,
        owner_id=schedule.owner_id,
        queue_id=schedule.queue_id,
        schedule_id=schedule.pk,
        run_id=run.pk if run is not None else None,
        is_bulk=not schedule.queue.is_paced,
        category=schedule.category,
        priority=_priority_of(schedule),
        parameters=schedule.parameters,
        template_id=schedule.template_id,
        template_version=run.template_version if run is not None else None,
        from_number=schedule.from_number,
        valid_for=schedule.valid_for,
        expires_at=now + timedelta(seconds=schedule.valid_for),
        created_at=now,
        updated_at=now,
    )


def _priority_of(schedule: Schedule) -> Priority:
    """In a paced queue the messages of a run stand among the single ones; they go before those in no queue."""
    return Priority.NORMAL if schedule.queue.is_paced else priority_of(schedule.category, is_bulk=True)


def addressed(prototype: Message, key: int, number: str) -> Message:
    """Return a message to this recipient for the eligibility checks. It is never stored; its key is the recipient's.

    `copy.copy` and the model's constructor take 10 times as long, for each of a chunk's 5,000 recipients.
    """
    message = Message.__new__(Message)
    message.__dict__.update(prototype.__dict__, id=key, to_number=number)
    if not prototype.from_number:
        message.from_number = sender_pools.current().sender_for(prototype.queue_id or "", number)
    return message


def _finish(run: ScheduleRun, schedule: Schedule, now: datetime) -> None:
    run.status, run.finished_at, run.lease_until = RunStatus.DONE, now, None
    run.started_at = run.started_at or now
    run.save()
    runs.complete_if_over(schedule, now=now)
    schedule.updated_at = now
    schedule.save(update_fields=["status", "updated_at"])
