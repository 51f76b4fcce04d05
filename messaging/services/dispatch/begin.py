"""Choosing an account for each claimed message and writing the attempt, before anything is called."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from messaging.models import DeliveryAttempt, Message
from messaging.services import attachments, eligibility, transitions
from messaging.services.dispatch.accounts import Accounts, Place, Turn, Verdict, Wait
from messaging.services.eligibility import Batch, Moment
from messaging.services.transitions import Move, save_together
from messaging.states import Source, Status
from providers import breaker
from providers.models import ProviderAccount

logger = logging.getLogger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt that is written down and may be made: at once, or at `departs_at` on the monotonic clock.

    `tried` are the accounts of this round, this one included. At `checked_at` its message was last found fit to be sent.
    """

    attempt_id: UUID
    number: int
    claim_id: UUID
    message: Message = field(repr=False)
    account: ProviderAccount
    tried: frozenset[str]
    checked_at: datetime = NEVER
    retry_after: float | None = None
    only_limited: bool = True
    departs_at: float = 0.0
    is_probe: bool = False
    media_urls: tuple[str, ...] = field(default=(), repr=False)


def begin(claimed: Sequence[Message], *, now: datetime, lease: timedelta) -> list[Call]:
    """Attempts for freshly claimed messages; those that no account serves end or wait here."""
    turns = [Turn(message, message.claim_id) for message in claimed]
    verdicts = Accounts(turns, now=now).assign()
    calls: list[Call] = []
    try:
        with transaction.atomic():
            held = without_refused(lock_held(turns, now), now)
            begun = open_attempts(turns, held, verdicts, now=now, lease=lease)
            waiting = held.keys() - {call.message.pk for call in begun}
            _put_back([message for pk, message in held.items() if pk in waiting], verdicts, now)
        calls = begun
    finally:
        give_back_unused(verdicts, calls)
    return calls


def give_back_unused(verdicts: Mapping[UUID, Verdict], calls: Sequence[Call]) -> None:
    """A probe whose call will not be made, because its message has gone or nothing could be written: the next one may try."""
    used = {call.message.pk for call in calls}
    for pk, verdict in verdicts.items():
        if isinstance(verdict, Place) and verdict.is_probe and pk not in used:
            breaker.give_back(verdict.account.slug)


def without_refused(held: dict[UUID, Message], now: datetime) -> dict[UUID, Message]:
    """Claimed messages that may be sent; the others end or wait here.

    To be asked before each call, also that to the next account: the one before may have taken long to say no.
    """
    refused = Batch(held.values(), now=now).refusals(Moment.CALL)
    eligibility.end(refused.values(), now=now, source=Source.DISPATCH)
    return {pk: message for pk, message in held.items() if pk not in refused}


def refused_since(calls: Collection[Call], *, now: datetime) -> dict[UUID, str]:
    """The attempts whose calls waited and must not be made any more, and why.

    A look without locks and writes: `settle` asks again when it learns that the call was not made.
    """
    rows = Message.objects.filter(pk__in=[call.message.pk for call in calls], status=Status.SENDING)
    refused = Batch(rows, now=now).refusals(Moment.CALL)
    return {call.attempt_id: refused[call.message.pk].check.detail for call in calls if call.message.pk in refused}


def lock_held(turns: Sequence[Turn], now: datetime) -> dict[UUID, Message]:
    """The messages that are still ours: a claim whose lease is over may have another owner by now."""
    claims = {turn.message.pk: turn.claim_id for turn in turns}
    rows = Message.objects.select_for_update().filter(pk__in=list(claims), status=Status.SENDING, lease_until__gt=now)
    return {row.pk: row for row in rows.order_by("pk") if row.claim_id == claims[row.pk]}


def open_attempts(
    turns: Sequence[Turn],
    held: Mapping[UUID, Message],
    verdicts: Mapping[UUID, Verdict],
    *,
    now: datetime,
    lease: timedelta,
) -> list[Call]:
    """Write the attempts of those that have a place, and prolong the leases: two queries, in the caller's transaction."""
    calls: list[Call] = []
    media_urls = attachments.urls_of([message for message in held.values() if message.media_count], now=now)
    for turn in turns:
        message, place = held.get(turn.message.pk), verdicts.get(turn.message.pk)
        if message is None or not isinstance(place, Place):
            continue
        message.queue = turn.message.queue  # known already: the next account is chosen by the queue's strategy
        message.attempts += 1
        message.provider = place.account
        message.lease_until = now + lease
        calls.append(
            Call(
                attempt_id=uuid7(),
                number=message.attempts,
                claim_id=turn.claim_id,
                message=message,
                account=place.account,
                tried=turn.tried | {place.account.slug},
                retry_after=turn.retry_after,
                only_limited=turn.only_limited,
                checked_at=now,
                departs_at=place.departs_at,
                is_probe=place.is_probe,
                media_urls=media_urls.get(message.pk, ()),
            )
        )
    if calls:
        DeliveryAttempt.objects.bulk_create(
            DeliveryAttempt(
                id=call.attempt_id,
                message=call.message,
                number=call.number,
                provider=call.account,
                claim_id=call.claim_id,
                started_at=now,
            )
            for call in calls
        )
        save_together([call.message for call in calls], ["attempts", "provider", "lease_until"])
    return calls


def _put_back(messages: Sequence[Message], verdicts: Mapping[UUID, Verdict], now: datetime) -> None:
    """No account takes these now: those that one could take later wait, the others fail at once."""
    moves = []
    for message in messages:
        verdict = verdicts[message.pk]
        if isinstance(verdict, Wait):
            message.error_code, message.error_detail = verdict.code, verdict.detail[:300]
            message.next_attempt_at = min(now + timedelta(seconds=verdict.seconds), message.expires_at)
            moves.append(Move(message, Status.QUEUED, Source.DISPATCH, detail=verdict.detail))
        else:
            message.error_code = "no_route"
            message.error_detail = "No provider account serves this number."
            moves.append(Move(message, Status.FAILED, Source.DISPATCH, detail="no_route"))
    waits = (verdicts[message.pk] for message in messages)
    if any(isinstance(wait, Wait) and wait.needs_operator for wait in waits):
        logger.error("no provider account that carries them is enabled; messages wait")
    transitions.apply(moves, now=now, fields=["error_code", "error_detail", "next_attempt_at"])
