"""Making, changing and ending schedules. API and admin call the same functions."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet

from messaging import states
from messaging.models import Message, OutboundQueue
from messaging.models.encrypted import opened
from messaging.services import transitions
from messaging.services.errors import InvalidField
from messaging.services.transitions import Transition
from messaging.states import Source
from providers.models import SenderNumber
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import recipients, timing
from scheduling.services.errors import AlreadyRan, ScheduleEnded
from scheduling.services.recipients import Recipient
from scheduling.services.timing import Timing

logger = logging.getLogger(__name__)

RunStatus = ScheduleRun.Status
Status = Schedule.Status
ENDED = frozenset({Status.CANCELED, Status.COMPLETED})
UNFINISHED = (RunStatus.PENDING, RunStatus.EXPANDING)
CANCEL_CHUNK = 1_000
CANCEL_LEASE = timedelta(seconds=30)
CANCELS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """What somebody wants sent, and when. `run_at` without an offset is wall time in `time_zone`."""

    name: str
    text: str
    run_at: datetime
    time_zone: str
    recurrence: str | None
    queue: str | None
    sender: str | None
    valid_for: int


def create(
    *, owner: User, plan: ScheduleInput, people: Sequence[Recipient], default_queue: str, now: datetime
) -> Schedule:
    """Store a schedule with its list; a number that is repeated is kept once. Raises `InvalidField`, then nothing is stored."""
    unique = _checked_people(people, plan.text)
    when = timing.check(run_at=plan.run_at, time_zone=plan.time_zone, rule=plan.recurrence, now=now)
    queue = _checked_queue(plan.queue or default_queue)
    with transaction.atomic():
        schedule = Schedule(
            owner=owner,
            name=plan.name,
            text=plan.text,
            queue_id=queue,
            from_number=_checked_sender(owner, plan.sender),
            valid_for=plan.valid_for,
            recipient_count=len(unique),
            created_at=now,
            updated_at=now,
        )
        _set_timing(schedule, when)
        schedule.save(force_insert=True)
        recipients.store(schedule, unique)
    return schedule


def change(*, schedule_id: UUID, owner: User, changes: dict[str, Any], now: datetime) -> Schedule:
    """Edit or reschedule one that has not run. Raises `AlreadyRan`, `ScheduleEnded` or `InvalidField`.

    `changes` has any of: name, text, people, queue, sender, valid_for, run_at, time_zone, recurrence. `people` takes the
    place of the whole list.
    """
    with transaction.atomic():
        schedule = _locked(schedule_id)
        if has_run(schedule):
            raise AlreadyRan("The schedule has run already; make a new one.")
        if {"run_at", "time_zone", "recurrence"} & changes.keys():
            _set_timing(schedule, _new_timing(schedule, changes, now))
            schedule.last_wall, schedule.occurrences = "", 0  # of runs that were missed
        if "text" in changes:
            schedule.text = changes["text"]
        if "people" in changes:
            _replace_people(schedule, changes["people"])
        elif "text" in changes:
            _check_everybody(schedule)
        if changes.get("queue"):
            schedule.queue_id = _checked_queue(changes["queue"])
        if "sender" in changes:
            schedule.from_number = _checked_sender(owner, changes["sender"])
        schedule.name = changes.get("name", schedule.name)
        schedule.valid_for = changes.get("valid_for", schedule.valid_for)
        schedule.updated_at = now
        schedule.save()
    return schedule


def has_run(schedule: Schedule) -> bool:
    """Whether anything was ever sent, or skipped because something was. A run that was missed is none."""
    return schedule.occurrences > 0 and schedule.runs.exclude(status=RunStatus.MISSED).exists()


def pause(*, schedule_id: UUID, now: datetime) -> Schedule:
    """No further run starts; one that is being expanded goes on. Pausing a paused one changes nothing."""
    return _switch(schedule_id, Status.PAUSED, now)


def resume(*, schedule_id: UUID, now: datetime) -> Schedule:
    """Runs start again; those whose time passed meanwhile are late, and too late ones are missed."""
    return _switch(schedule_id, Status.ACTIVE, now)


def _switch(schedule_id: UUID, status: str, now: datetime) -> Schedule:
    with transaction.atomic():
        schedule = _locked(schedule_id)
        schedule.status, schedule.updated_at = status, now
        schedule.save(update_fields=["status", "updated_at"])
    return schedule


def cancel(*, schedule_id: UUID, actor: User, now: datetime, source: Source) -> tuple[Schedule, int]:
    """End the schedule and take back all that is unsent; returns how many messages were canceled.

    First no run can start or grow any more, then the messages go. What a worker has in the air is not among them: it may be
    with the provider already. It is marked, so that it is canceled instead of tried again if the provider does not take it.
    A schedule that is over is canceled too as long as messages of it wait. Raises `ScheduleEnded` where there is nothing left.

    Should this process die on the way, `finish_cancels` goes on.
    """
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if not is_cancelable(schedule):
            raise ScheduleEnded(f"The schedule is {schedule.status}.")
        schedule.status, schedule.updated_at = Status.CANCELED, now
        schedule.canceled_by, schedule.cancel_lease_until = actor, now + CANCEL_LEASE
        timing.set_next(schedule, None)
        schedule.save(update_fields=["status", "updated_at", *timing.NEXT_FIELDS, "canceled_by", "cancel_lease_until"])
        # A chunk that is being written holds its run's row: this waits for it and sees its messages afterwards.
        unfinished = ScheduleRun.objects.select_for_update().filter(schedule=schedule, status__in=UNFINISHED)
        for run in unfinished:
            run.status, run.finished_at, run.lease_until = RunStatus.SKIPPED, now, None
            run.detail = f"canceled after {run.created_messages} messages"
            run.save(update_fields=["status", "finished_at", "lease_until", "detail"])
    return schedule, _take_back(schedule, actor, now, source)


def is_cancelable(schedule: Schedule) -> bool:
    return schedule.status not in ENDED or _to_take_back(schedule).exists()


def finish_cancels(*, clock: Callable[[], datetime]) -> int:
    """Go on where a cancel's process died; returns how many messages were taken back."""
    canceled = 0
    interrupted = Schedule.objects.filter(cancel_lease_until__lte=clock()).select_related("canceled_by")
    for schedule in interrupted[:CANCELS_AT_ONCE]:
        now = clock()
        mine = Schedule.objects.filter(pk=schedule.pk, cancel_lease_until__lte=now)
        if mine.update(cancel_lease_until=now + CANCEL_LEASE):
            logger.error("the cancel of schedule %s was interrupted; going on", schedule.pk)
            canceled += _take_back(schedule, schedule.canceled_by, now, Source.SWEEP)
    return canceled


def _take_back(schedule: Schedule, actor: User | None, now: datetime, source: Source) -> int:
    """The messages, chunk by chunk, under the lease that the caller has taken and this prolongs."""
    row = Schedule.objects.filter(pk=schedule.pk)
    began, canceled = time.monotonic(), 0
    while (step := _cancel_chunk(schedule, actor, now, source)) is not None:
        canceled += step
        row.update(cancel_lease_until=now + timedelta(seconds=time.monotonic() - began) + CANCEL_LEASE)
    row.update(cancel_lease_until=None)
    return canceled


def _to_take_back(schedule: Schedule) -> QuerySet[Message]:
    return Message.objects.filter(schedule_id=schedule.pk, status__in=sorted(states.UNSENT), cancel_requested=False)


def _cancel_chunk(schedule: Schedule, actor: User | None, now: datetime, source: Source) -> int | None:
    """How many messages of the next chunk were canceled; None when there is nothing left to cancel or to mark.

    Until a chunk is empty, not until it is short: rows that moved on while we waited for their lock shorten it as well.
    """
    with transaction.atomic():
        rows = list(_to_take_back(schedule).select_for_update().order_by("pk")[:CANCEL_CHUNK])
        if not rows:
            return None
        in_the_air = [row.pk for row in rows if row.status == states.Status.SENDING]
        Message.objects.filter(pk__in=in_the_air).update(cancel_requested=True)
        waiting = [row for row in rows if row.status != states.Status.SENDING]
        for row in waiting:
            row.next_attempt_at = None
        transitions.apply(
            [
                Transition(row, states.Status.CANCELED, source, detail="schedule canceled", actor=actor)
                for row in waiting
            ],
            now=now,
            fields=["next_attempt_at"],
        )
    return len(waiting)


def delete(*, schedule_id: UUID) -> None:
    """Forget a schedule that has not run. Raises `AlreadyRan`."""
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if schedule.occurrences:
            raise AlreadyRan("The schedule has run already; cancel it instead.")
        schedule.delete()


def _locked(schedule_id: UUID) -> Schedule:
    schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
    if schedule.status in ENDED:
        raise ScheduleEnded(f"The schedule is {schedule.status}.")
    return schedule


def _set_timing(schedule: Schedule, when: Timing) -> None:
    schedule.time_zone = when.time_zone
    schedule.recurrence = when.recurrence
    schedule.start_wall = when.start_wall.isoformat()
    schedule.start_moment = when.start_moment
    timing.set_next(schedule, (when.first_wall, when.first_moment))


def _new_timing(schedule: Schedule, changes: dict[str, Any], now: datetime) -> Timing:
    """A start that was named as a moment stays that moment in another zone; one that was named as a wall time stays that."""
    start = schedule.start_moment or datetime.fromisoformat(schedule.start_wall)
    return timing.check(
        run_at=changes.get("run_at", start),
        time_zone=changes.get("time_zone", schedule.time_zone),
        rule=changes.get("recurrence", schedule.recurrence),
        now=now,
    )


def _checked_people(people: Sequence[Recipient], text: str) -> list[Recipient]:
    """The first of each number. Raises `InvalidField` for the text, or for somebody whom it cannot be written to."""
    template = recipients.compiled(text)
    for person in people:
        error = recipients.check(person, template)
        if error is not None:
            raise InvalidField(f"recipients.{error.row}.{error.field}", error.code, error.detail)
    return list(recipients.first_of_each_number(people).values())


def _replace_people(schedule: Schedule, people: Sequence[Recipient]) -> None:
    unique = _checked_people(people, schedule.text)
    schedule.recipients.all().delete()
    recipients.store(schedule, unique)
    schedule.recipient_count = len(unique)


def _check_everybody(schedule: Schedule) -> None:
    template = recipients.compiled(schedule.text)
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")
    for position, (number, variables) in enumerate(rows.iterator(chunk_size=2_000)):
        error = recipients.check(Recipient(position, number, opened(variables)), template)
        if error is not None:
            raise InvalidField("message", error.code, f"{error.detail} (recipient {position + 1})")


def _checked_queue(name: str) -> str:
    if not OutboundQueue.objects.filter(pk=name).exists():
        raise InvalidField("queue", "unknown_queue", "There is no queue of this name.")
    return name


def _checked_sender(owner: User, sender: str | None) -> str:
    usable = SenderNumber.objects.filter(Q(owner=owner) | Q(owner__isnull=True))
    if sender:
        if not usable.filter(number=sender).exists():
            raise InvalidField("from", "sender_not_allowed", "This is not one of your sender numbers.")
        return sender
    default = usable.filter(is_default=True).order_by(F("owner").asc(nulls_last=True)).first()
    return str(default.number) if default else ""
