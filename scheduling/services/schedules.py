"""Create, change, pause and cancel schedules. API and admin call the same functions."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from messaging import states
from messaging.categories import Category
from messaging.models import Message, OutboundQueue
from messaging.models.encrypted import opened
from messaging.services import transitions
from messaging.services.errors import EmergencyNotAllowed, InvalidField
from messaging.services.outbound import sender_pools
from messaging.services.outbound.submit import may_send_emergency
from messaging.services.transitions import Transition
from messaging.states import Source
from providers.models import SenderNumber
from scheduling.models import ListImport, Schedule, ScheduleRun
from scheduling.services import dates, list_files, texts, timing
from scheduling.services.errors import AlreadyRan, ListNotSaved, ScheduleEnded
from scheduling.services.recipient_insert import insert
from scheduling.services.recipients import Recipient, check, compiled, first_of_each_number
from scheduling.services.timing import Timing

logger = logging.getLogger(__name__)

RunStatus = ScheduleRun.Status
Status = Schedule.Status
UNFINISHED = (RunStatus.PENDING, RunStatus.EXPANDING)
# What makes a schedule another message.
CONTENT = frozenset({"category", "text", "recipients"})
CANCEL_CHUNK = 1_000
CANCEL_LEASE = timedelta(seconds=30)
CANCELS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class ScheduleInput:
    """A validated request for a schedule. `run_at` without an offset is wall time in `time_zone`."""

    name: str
    text: str  # empty if there is a `template`, a name or id
    run_at: datetime
    time_zone: str
    recurrence: str | None
    queue: str | None
    sender: str | None
    valid_for: int
    missed: str = Schedule.Missed.LATEST
    category: str = Category.TRANSACTIONAL
    parameters: Mapping[str, str] = field(default_factory=dict)
    holidays: str | None = None
    template: str | None = None
    language: str = ""


def create(
    *, owner: User, draft: ScheduleInput, recipients: Sequence[Recipient], default_queue: str, now: datetime
) -> Schedule:
    """Store a schedule and its recipients, each number once.

    Raises `InvalidField` or `EmergencyNotAllowed`; then nothing is stored.
    """
    schedule, unique = build(owner=owner, draft=draft, recipients=recipients, default_queue=default_queue, now=now)
    with transaction.atomic():
        schedule.save(force_insert=True)
        insert(schedule.pk, ((each.number, each.variables) for each in unique))
    return schedule


def build(
    *, owner: User, draft: ScheduleInput, recipients: Sequence[Recipient], default_queue: str, now: datetime
) -> tuple[Schedule, list[Recipient]]:
    """Return the schedule, not stored, and the first recipient of each number. Raises what `create` raises."""
    version = texts.find(owner.pk, draft.template) if draft.template else None
    if version is not None:
        text, category, parameters = texts.text_in(version, draft.language), version.category, version.parameters
    else:
        text, category, parameters = draft.text, draft.category, draft.parameters
    _check_category(owner, category)
    unique = _checked_recipients(recipients, text)
    when = timing.check(
        run_at=draft.run_at, time_zone=draft.time_zone, rule=draft.recurrence, now=now, holidays=draft.holidays
    )
    queue = _checked_queue(draft.queue or default_queue)
    schedule = Schedule(
        owner=owner,
        name=draft.name,
        text=text,
        template=version.template if version is not None else None,
        language=draft.language,
        queue_id=queue,
        from_number=_checked_sender(owner, draft.sender, queue),
        valid_for=draft.valid_for,
        missed=draft.missed,
        category=category,
        parameters=dict(parameters) or None,
        recipient_count=len(unique),
        created_at=now,
        updated_at=now,
    )
    _set_timing(schedule, when)
    return schedule, unique


def change(
    *, schedule_id: UUID, owner: User, changes: dict[str, Any], now: datetime, actor: User | None = None
) -> Schedule:
    """Edit or reschedule a schedule that has not run.

    `changes` has any of: name, text, template, language, recipients, queue, sender, valid_for, missed, category, parameters,
    run_at, time_zone, recurrence, holidays. `recipients` replaces the whole list. A schedule that has run still takes a
    recurrence with the same rule and other coming dates, and other holidays, if nothing else is changed.

    `owner` is the schedule's, who needs the permission for an emergency. So does `actor`, who makes the change and may be
    another one, to make it an emergency, or to say something else in one or to others. Raises `AlreadyRan`, `ScheduleEnded`,
    `InvalidField` or `EmergencyNotAllowed`.
    """
    if "category" in changes:
        _check_category(owner, changes["category"])
    with transaction.atomic():
        schedule = dates.locked(schedule_id)
        timed = {"run_at", "time_zone", "recurrence", "holidays"} & changes.keys()
        only_dates = schedule.has_begun and dates.are_all(schedule, {name: changes[name] for name in timed})
        if has_run(schedule) and not (only_dates and timed == changes.keys()):
            raise AlreadyRan("The schedule has run already; only its coming dates and holidays can be changed.")
        if only_dates:
            dates.change(schedule, changes, now=now)
        elif timed:
            _set_timing(schedule, _new_timing(schedule, changes, now))
            # Only missed runs have counted so far.
            schedule.last_wall, schedule.last_added_wall, schedule.occurrences = "", "", 0
        changes = _with_template(schedule, owner, changes)
        if actor is not None and CONTENT & changes.keys():
            _check_category(actor, changes.get("category", schedule.category))
        if "text" in changes:
            schedule.text = changes["text"]
        if "recipients" in changes:
            _replace_recipients(schedule, changes["recipients"])
        elif "text" in changes:
            _check_stored_recipients(schedule)
        _set_options(schedule, owner, changes)
        schedule.updated_at = now
        schedule.save()
    return schedule


def _with_template(schedule: Schedule, owner: User, changes: dict[str, Any]) -> dict[str, Any]:
    """Set the template or its language, and return the changes with the text and the options that come from it.

    Another text replaces the template; the same one, as a form sends it back, does not.
    """
    texts.refresh(schedule)
    if changes.get("template"):
        schedule.language = changes.get("language", schedule.language)
        version = texts.find(owner.pk, changes["template"])
        schedule.template = version.template
    elif "language" in changes and schedule.template is not None:
        schedule.language = changes["language"]
        found = texts.newest(schedule)
        if found is None:
            return changes
        version = found
    else:
        if schedule.template is not None and "text" in changes and changes["text"] != schedule.text:
            schedule.template, schedule.language = None, ""
        decided = sorted({"category", "parameters"} & changes.keys())
        if decided and schedule.template is not None:
            raise InvalidField(decided[0], "of_the_template", "The template has its own.")
        return changes
    _check_category(owner, version.category)
    content = {"text": texts.text_in(version, schedule.language), "category": version.category}
    return {**changes, **content, "parameters": version.parameters}


def _set_options(schedule: Schedule, owner: User, changes: Mapping[str, Any]) -> None:
    if changes.get("queue"):
        schedule.queue_id = _checked_queue(changes["queue"])
    if "sender" in changes:
        schedule.from_number = _checked_sender(owner, changes["sender"], schedule.queue_id)
    elif changes.get("queue") and not schedule.from_number:
        schedule.from_number = _checked_sender(owner, None, schedule.queue_id)
    if "parameters" in changes:
        schedule.parameters = dict(changes["parameters"] or {}) or None
    schedule.name = changes.get("name", schedule.name)
    schedule.valid_for = changes.get("valid_for", schedule.valid_for)
    schedule.missed = changes.get("missed", schedule.missed)
    schedule.category = changes.get("category", schedule.category)


def has_run(schedule: Schedule) -> bool:
    """Return True if any run was expanded or skipped. Missed runs do not count."""
    return schedule.has_begun and schedule.runs.exclude(status=RunStatus.MISSED).exists()


def pause(*, schedule_id: UUID, now: datetime) -> Schedule:
    """Start no further runs; a run that is being expanded continues. Pausing a paused schedule changes nothing."""
    return _switch(schedule_id, Status.PAUSED, now)


def resume(*, schedule_id: UUID, now: datetime) -> Schedule:
    """Start runs again. Runs that came due during the pause start late, or are recorded as missed.

    Raises `ListNotSaved` for a schedule that waits for its first list.
    """
    waiting = ListImport.objects.filter(schedule=schedule_id, status=ListImport.Status.CHECKED, activates=True)
    if waiting.exists():
        raise ListNotSaved("The list of this schedule is not saved yet: save or discard it in the console.")
    return _switch(schedule_id, Status.ACTIVE, now)


def _switch(schedule_id: UUID, status: str, now: datetime) -> Schedule:
    with transaction.atomic():
        schedule = dates.locked(schedule_id)
        schedule.status, schedule.updated_at = status, now
        schedule.save(update_fields=["status", "updated_at"])
    return schedule


def cancel(*, schedule_id: UUID, actor: User, now: datetime, source: Source) -> tuple[Schedule, int]:
    """End the schedule and cancel its unsent messages; returns how many messages were canceled.

    Runs are stopped first, then messages are canceled in chunks. A message in flight is not counted, because the provider may
    have it already: it is marked, and canceled instead of retried if the provider does not accept it. A completed schedule can
    be canceled while any of its messages are unsent. Raises `ScheduleEnded` if nothing is left to cancel.

    If this process dies on the way, `finish_cancels` resumes the cancel.
    """
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if not is_cancelable(schedule):
            raise ScheduleEnded(f"The schedule is {schedule.status}.")
        schedule.status, schedule.updated_at = Status.CANCELED, now
        schedule.canceled_by, schedule.cancel_lease_until = actor, now + CANCEL_LEASE
        timing.set_next(schedule, None)
        schedule.save(update_fields=["status", "updated_at", *timing.NEXT_FIELDS, "canceled_by", "cancel_lease_until"])
        # Waits for a chunk that is being expanded, which holds the row of its run; its messages are visible afterwards.
        unfinished = ScheduleRun.objects.select_for_update().filter(schedule=schedule, status__in=UNFINISHED)
        for run in unfinished:
            run.status, run.finished_at, run.lease_until = RunStatus.SKIPPED, now, None
            run.detail = f"canceled after {run.created_messages} messages"
            run.save(update_fields=["status", "finished_at", "lease_until", "detail"])
    return schedule, _cancel_messages(schedule, actor, now, source)


def is_cancelable(schedule: Schedule) -> bool:
    return schedule.status not in dates.ENDED or _cancelable_messages(schedule).exists()


def interrupted_cancels(now: datetime) -> QuerySet[Schedule]:
    return Schedule.objects.filter(cancel_lease_until__lte=now)


def finish_cancels(*, clock: Callable[[], datetime]) -> int:
    """Resume cancels whose process died; returns how many messages were canceled."""
    canceled = 0
    for schedule in interrupted_cancels(clock()).select_related("canceled_by")[:CANCELS_AT_ONCE]:
        now = clock()
        expired = Schedule.objects.filter(pk=schedule.pk, cancel_lease_until__lte=now)
        if expired.update(cancel_lease_until=now + CANCEL_LEASE):
            logger.error("the cancel of schedule %s was interrupted; resuming it", schedule.pk)
            canceled += _cancel_messages(schedule, schedule.canceled_by, now, Source.SWEEP)
    return canceled


def _cancel_messages(schedule: Schedule, actor: User | None, now: datetime, source: Source) -> int:
    """Cancel in chunks. The caller holds the lease; it is extended after each chunk and released at the end."""
    row = Schedule.objects.filter(pk=schedule.pk)
    began, canceled = time.monotonic(), 0
    while (step := _cancel_chunk(schedule, actor, now, source)) is not None:
        canceled += step
        row.update(cancel_lease_until=now + timedelta(seconds=time.monotonic() - began) + CANCEL_LEASE)
    row.update(cancel_lease_until=None)
    return canceled


def _cancelable_messages(schedule: Schedule) -> QuerySet[Message]:
    return Message.objects.filter(schedule_id=schedule.pk, status__in=sorted(states.UNSENT), cancel_requested=False)


def _cancel_chunk(schedule: Schedule, actor: User | None, now: datetime, source: Source) -> int | None:
    """Cancel or mark the next chunk; returns how many messages were canceled, or None if no message was left.

    A short chunk is not the last one: messages that changed while this waited for their locks are missing from it.
    """
    with transaction.atomic():
        rows = list(_cancelable_messages(schedule).select_for_update().order_by("pk")[:CANCEL_CHUNK])
        if not rows:
            return None
        in_flight = [row.pk for row in rows if row.status == states.Status.SENDING]
        Message.objects.filter(pk__in=in_flight).update(cancel_requested=True)
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
    """Delete a schedule that has not run, and its lists that wait to be saved. Raises `AlreadyRan`."""
    with transaction.atomic():
        schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
        if schedule.has_begun:
            raise AlreadyRan("The schedule has run already; cancel it instead.")
        waiting = list(schedule.imports.filter(status=ListImport.Status.CHECKED).values_list("pk", flat=True))
        schedule.delete()
        for list_id in waiting:
            transaction.on_commit(partial(list_files.remove, list_id), robust=True)


def _set_timing(schedule: Schedule, when: Timing) -> None:
    schedule.time_zone = when.time_zone
    schedule.recurrence = when.recurrence
    timing.set_dates(schedule, when.dates)
    schedule.start_wall = when.start_wall.isoformat()
    schedule.start_moment = when.start_moment
    timing.set_next(schedule, (when.first_wall, when.first_utc))


def _new_timing(schedule: Schedule, changes: dict[str, Any], now: datetime) -> Timing:
    """In a new zone, a start that was given with an offset keeps its UTC time, as dates do; any other keeps its wall time."""
    start = schedule.start_moment or datetime.fromisoformat(schedule.start_wall)
    return timing.check(
        run_at=changes.get("run_at", start),
        time_zone=changes.get("time_zone", schedule.time_zone),
        rule=changes.get("recurrence", timing.movable_recurrence_text(schedule)),
        now=now,
        holidays=changes.get("holidays", schedule.holidays),
    )


def _checked_recipients(recipients: Sequence[Recipient], text: str) -> list[Recipient]:
    """Return the first recipient of each number. Raises `InvalidField` for the text, or for one recipient's text."""
    template = compiled(text)
    for recipient in recipients:
        error = check(recipient, template)
        if error is not None:
            raise InvalidField(f"recipients.{error.row}.{error.field}", error.code, error.detail)
    return list(first_of_each_number(recipients).values())


def _replace_recipients(schedule: Schedule, recipients: Sequence[Recipient]) -> None:
    unique = _checked_recipients(recipients, schedule.text)
    schedule.recipients.all().delete()
    insert(schedule.pk, ((each.number, each.variables) for each in unique))
    schedule.recipient_count = len(unique)


def _check_stored_recipients(schedule: Schedule) -> None:
    template = compiled(schedule.text)
    rows = schedule.recipients.order_by("pk").values_list("number", "variables")
    for position, (number, variables) in enumerate(rows.iterator(chunk_size=2_000)):
        error = check(Recipient(position, number, opened(variables)), template)
        if error is not None:
            raise InvalidField("message", error.code, f"{error.detail} (recipient {position + 1})")


def _check_category(owner: User, category: str) -> None:
    if category == Category.EMERGENCY and not may_send_emergency(owner):
        raise EmergencyNotAllowed("Emergency messages need the permission messaging.send_emergency.")


def _checked_queue(name: str) -> str:
    if not OutboundQueue.objects.filter(pk=name).exists():
        raise InvalidField("queue", "unknown_queue", "There is no queue of this name.")
    return name


def _checked_sender(owner: User, sender: str | None, queue: str) -> str:
    """Empty without one in a queue with a pool, which gives each recipient its number when the run is expanded."""
    if sender:
        if not SenderNumber.objects.filter(Q(owner=owner) | Q(owner__isnull=True), number=sender).exists():
            raise InvalidField("from", "sender_not_allowed", "This is not one of your senders.")
        return sender
    if queue in sender_pools.current().pools:
        return ""
    return SenderNumber.default_of(owner.pk)
