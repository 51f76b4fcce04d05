"""Status changes: the only code that changes a message's status, writes and reads its history, and counts the change."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import models
from uuid_utils.compat import uuid7

from messaging.models import Message, MessageEvent
from messaging.services import charges, events, statements
from messaging.services.errors import IllegalTransition
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.statements import Statement
from messaging.states import UNSENT, Direction, Source, Status, can_transition

ALWAYS_WRITTEN = ("status", "updated_at", "claim_id", "lease_until")
HISTORY = ("id", "message", "at", "from_status", "to_status", "source", "provider_slug", "detail", "actor")


@dataclass(frozen=True, slots=True)
class Transition:
    """One message's change to status `to`. `detail` is for users and contains neither text nor secrets.

    `corrects_receipt`: a receipt has set the present status, and this change is a receipt's, too.
    """

    message: Message
    to: Status
    source: Source
    provider_slug: str = ""
    detail: str = ""
    actor: User | None = None
    by_operator: bool = False
    corrects_receipt: bool = False


def record_creation(
    messages: Sequence[Message],
    *,
    source: Source,
    actor: User | None,
    detail: str = "",
    details: Mapping[UUID, str] | None = None,
) -> None:
    """Count new messages, and write the first history row of those that do not tell it themselves.

    `details` are sentences of single messages, by primary key; `detail` is that of all others.
    """
    tally = CounterBatch()
    for message in messages:
        tally.created(message)
    tally.write()
    sentences = [(message, (details or {}).get(message.pk, detail)) for message in messages]
    untold = [
        (message, sentence)
        for message, sentence in sentences
        if not tells_its_creation(message, source=source, actor=actor, detail=sentence)
    ]
    if untold:
        MessageEvent.objects.bulk_create(
            MessageEvent(
                message=message,
                at=message.created_at,
                to_status=message.status,
                source=source,
                actor=actor,
                detail=sentence,
            )
            for message, sentence in untold
        )


def tells_its_creation(message: Message, *, source: Source, actor: User | None, detail: str = "") -> bool:
    """Return True if `history` derives this first event from the new message, so that it needs no row."""
    return not detail and _creation(message) == (message.status, source, actor.pk if actor else None)


def history(message: Message) -> list[MessageEvent]:
    """The message's status changes, oldest first. The first one is derived from the message unless it is stored."""
    return with_creation(message, list(message.events.select_related("actor")))


def with_creation(message: Message, rows: list[MessageEvent]) -> list[MessageEvent]:
    """As `history`, of the stored events of the message, oldest first."""
    if any(not row.from_status for row in rows):
        return rows
    status, source, actor_id = _creation(message)
    first = MessageEvent(message=message, at=message.created_at, to_status=status, source=source, actor_id=actor_id)
    return [first, *rows]


def _creation(message: Message) -> tuple[Status, Source, int | None]:
    """The first status, its source and its actor, as most messages have them, from columns that never change."""
    if message.direction == Direction.INBOUND:
        return (Status.RECEIVED, Source.PROVIDER, None) if message.provider_id else _posted(message, Status.RECEIVED)
    if message.schedule_id is not None:
        return Status.QUEUED, Source.SCHEDULE, None
    is_later = message.send_at is not None and message.send_at > message.created_at
    status = Status.SCHEDULED if is_later else Status.QUEUED
    return (status, Source.INBOUND, message.owner_id) if message.is_automatic else _posted(message, status)


def _posted(message: Message, status: Status) -> tuple[Status, Source, int | None]:
    return status, Source.API, message.owner_id


def apply(
    changes: Sequence[Transition], *, now: datetime, fields: Collection[str] = (), tally: CounterBatch | None = None
) -> None:
    """Apply the transitions, and write history, client events and counts: in one statement, or four on SQLite.

    The caller has locked the rows in an open transaction and has set the attributes named in `fields`. Leaving `sending`
    ends the claim; before a transition to `sending` the caller sets the new claim. Raises `IllegalTransition`; then nothing is
    written. `tally` has the caller's other counts, which are written even if there are no transitions.
    """
    tally = tally or CounterBatch()
    written: list[Statement] = []
    if changes:
        unsent = [change.message.pk for change in changes if _ends_unsent(change)]
        rows = [_change(change, now, tally) for change in changes]
        messages = [change.message for change in changes]
        written.append(statements.update(messages, {*fields, *ALWAYS_WRITTEN}))
        written.append(statements.insert(MessageEvent, HISTORY, rows))
        written += events.recorded(messages, at=now)
        if unsent:
            charges.release(unsent)
    statements.execute([*written, *tally.inserts()])


def _ends_unsent(change: Transition) -> bool:
    """The message ends, and no carrier has accepted it as far as is known: what it took from budgets is given back."""
    was_unsent = change.message.status in {*UNSENT, Status.UNKNOWN}
    return was_unsent and change.to in {Status.FAILED, Status.CANCELED} and change.source is not Source.RECEIPT


def _change(change: Transition, now: datetime, tally: CounterBatch) -> tuple[Any, ...]:
    """Change the message, not yet in the database; return the values of its history row."""
    message, before = change.message, Status(change.message.status)
    corrects_receipt = change.corrects_receipt and change.source is Source.RECEIPT
    if not can_transition(before, change.to, by_operator=change.by_operator, corrects_receipt=corrects_receipt):
        raise IllegalTransition(f"a message cannot go from {before} to {change.to}")
    # A claim may find a message that was accepted after the claim's `now` was read, or by a host whose clock is ahead.
    at = max(now, message.created_at)
    message.status = change.to
    message.updated_at = at
    if change.to is not Status.SENDING:
        message.claim_id = None
        message.lease_until = None
    tally.moved(message, before, now=now)
    actor_id = change.actor.pk if change.actor else None
    detail = change.detail[:300]
    return uuid7(), message.pk, at, before, change.to, change.source, change.provider_slug, detail, actor_id


def save_together(rows: Sequence[models.Model], fields: Iterable[str]) -> None:
    """Save the fields of all rows with one UPDATE."""
    statements.execute([statements.update(rows, fields)])
