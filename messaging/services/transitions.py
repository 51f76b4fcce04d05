"""The one place that changes a message's status, and the only writer of its history. Each change is counted here, too."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models import Case, Value, When
from django.db.models.functions import Cast

from messaging.models import Message, MessageEvent
from messaging.services import events as client_events
from messaging.services.errors import IllegalTransition
from messaging.services.reporting.rollups import CounterBatch
from messaging.states import Source, Status, can_transition

ALWAYS_WRITTEN = ("status", "updated_at", "claim_id", "lease_until")


@dataclass(frozen=True, slots=True)
class Transition:
    """One message's step to `to`. `detail` is for people and holds neither text nor secret."""

    message: Message
    to: Status
    source: Source
    provider_slug: str = ""
    detail: str = ""
    actor: User | None = None
    by_operator: bool = False


def record_creation(messages: Sequence[Message], *, source: Source, actor: User | None, detail: str = "") -> None:
    """The first line of each history."""
    tally = CounterBatch()
    for message in messages:
        tally.created(message)
    tally.write()
    MessageEvent.objects.bulk_create(
        MessageEvent(
            message=message,
            at=message.created_at,
            to_status=message.status,
            source=source,
            actor=actor,
            detail=detail,
        )
        for message in messages
    )


def apply(
    moves: Sequence[Transition], *, now: datetime, fields: Collection[str] = (), tally: CounterBatch | None = None
) -> None:
    """Carry the moves out, write their history, what owners are told, and the counts: four queries however many there are.

    The caller holds the rows locked in an open transaction and has set the attributes named in `fields`. Leaving `sending`
    ends the claim; a message that enters it brings its new claim along. Raises `IllegalTransition`, then nothing is written.
    A `tally` brings what else the caller has to count; it is written with or without moves.
    """
    tally = tally or CounterBatch()
    if moves:
        events = [_step(move, now, tally) for move in moves]
        messages = [move.message for move in moves]
        save_together(messages, {*fields, *ALWAYS_WRITTEN})
        MessageEvent.objects.bulk_create(events)
        client_events.record(messages, at=now)
    tally.write()


def _step(move: Transition, now: datetime, tally: CounterBatch) -> MessageEvent:
    message, before = move.message, Status(move.message.status)
    if not can_transition(before, move.to, by_operator=move.by_operator):
        raise IllegalTransition(f"a message cannot go from {before} to {move.to}")
    message.status = move.to
    message.updated_at = now
    if move.to is not Status.SENDING:
        message.claim_id = None
        message.lease_until = None
    tally.moved(message, before, now=now)
    return MessageEvent(
        message=message,
        at=now,
        from_status=before,
        to_status=move.to,
        source=move.source,
        provider_slug=move.provider_slug,
        detail=move.detail[:300],
        actor=move.actor,
    )


def save_together(rows: Sequence[models.Model], fields: Iterable[str]) -> None:
    """One UPDATE for all rows: a plain value where they agree, a CASE where they differ.

    `bulk_update` writes a CASE for every column, which costs several times as much for the columns where the rows agree;
    two statements, one for each kind, would break constraints that tie columns to each other.
    """
    model = type(rows[0])
    assignments: dict[str, Any] = {}
    for name in sorted(fields):
        field = model._meta.get_field(name)  # noqa: SLF001 (public in all but its name)
        values = [getattr(row, field.attname) for row in rows]
        assignments[field.attname] = values[0] if values.count(values[0]) == len(values) else _case(rows, field, values)
    model._default_manager.filter(pk__in=[row.pk for row in rows]).update(**assignments)  # noqa: SLF001


def _case(rows: Sequence[models.Model], field: models.Field, values: Sequence[Any]) -> Case | Cast:
    whens = [When(pk=row.pk, then=Value(value, output_field=field)) for row, value in zip(rows, values, strict=True)]
    case = Case(*whens, output_field=field)
    return Cast(case, output_field=field) if connection.features.requires_casted_case_in_updates else case
