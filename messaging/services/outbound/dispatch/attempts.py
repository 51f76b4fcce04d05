"""Choosing an account for each claimed message and writing the attempt, before anything is called."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from messaging.models import DeliveryAttempt, Message
from messaging.services import transitions
from messaging.services.outbound import attachments, eligibility
from messaging.services.outbound.dispatch.router import Deferral, Route, Router, RoutingDecision, RoutingRequest
from messaging.services.outbound.eligibility import Batch, Moment
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status
from providers.models import ProviderAccount
from providers.state import circuit_breaker

logger = logging.getLogger(__name__)

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that is written down and may be made: at once, or at `not_before` on the monotonic clock.

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
    not_before: float = 0.0
    is_probe: bool = False
    media_urls: tuple[str, ...] = field(default=(), repr=False)


def start_attempts(claimed: Sequence[Message], *, now: datetime, lease: timedelta) -> list[Attempt]:
    """Attempts for freshly claimed messages; those that no account serves end or wait here."""
    turns = [RoutingRequest(message, message.claim_id) for message in claimed]
    verdicts = Router(turns, now=now).route()
    calls: list[Attempt] = []
    try:
        with transaction.atomic():
            held = drop_ineligible(lock_held(turns, now), now)
            begun = write_attempts(turns, held, verdicts, now=now, lease=lease)
            waiting = held.keys() - {call.message.pk for call in begun}
            _put_back([message for pk, message in held.items() if pk in waiting], verdicts, now)
        calls = begun
    finally:
        release_unused_probes(verdicts, calls)
    return calls


def release_unused_probes(verdicts: Mapping[UUID, RoutingDecision], calls: Sequence[Attempt]) -> None:
    """A probe whose call will not be made, because its message has gone or nothing could be written: the next one may try."""
    used = {call.message.pk for call in calls}
    for pk, verdict in verdicts.items():
        if isinstance(verdict, Route) and verdict.is_probe and pk not in used:
            circuit_breaker.release_probe(verdict.account.slug)


def drop_ineligible(held: dict[UUID, Message], now: datetime) -> dict[UUID, Message]:
    """Claimed messages that may be sent; the others end or wait here.

    To be asked before each call, also that to the next account: the one before may have taken long to say no.
    """
    refused = Batch(held.values(), now=now).refusals(Moment.CALL)
    eligibility.end(refused.values(), now=now, source=Source.DISPATCH)
    return {pk: message for pk, message in held.items() if pk not in refused}


def ineligible_since(calls: Collection[Attempt], *, now: datetime) -> dict[UUID, str]:
    """The attempts whose calls waited and must not be made any more, and why.

    A look without locks and writes: `settle` asks again when it learns that the call was not made.
    """
    rows = Message.objects.filter(pk__in=[call.message.pk for call in calls], status=Status.SENDING)
    refused = Batch(rows, now=now).refusals(Moment.CALL)
    return {call.attempt_id: refused[call.message.pk].check.detail for call in calls if call.message.pk in refused}


def lock_held(turns: Sequence[RoutingRequest], now: datetime) -> dict[UUID, Message]:
    """The messages that are still ours: a claim whose lease is over may have another owner by now."""
    claims = {turn.message.pk: turn.claim_id for turn in turns}
    rows = Message.objects.select_for_update().filter(pk__in=list(claims), status=Status.SENDING, lease_until__gt=now)
    return {row.pk: row for row in rows.order_by("pk") if row.claim_id == claims[row.pk]}


def write_attempts(
    turns: Sequence[RoutingRequest],
    held: Mapping[UUID, Message],
    verdicts: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
) -> list[Attempt]:
    """Write the attempts of those that have a place, and prolong the leases: two queries, in the caller's transaction."""
    calls: list[Attempt] = []
    media_urls = attachments.urls_of([message for message in held.values() if message.media_count], now=now)
    for turn in turns:
        message, place = held.get(turn.message.pk), verdicts.get(turn.message.pk)
        if message is None or not isinstance(place, Route):
            continue
        message.queue = turn.message.queue  # known already: the next account is chosen by the queue's strategy
        message.attempts += 1
        message.provider = place.account
        message.lease_until = now + lease
        calls.append(
            Attempt(
                attempt_id=uuid7(),
                number=message.attempts,
                claim_id=turn.claim_id,
                message=message,
                account=place.account,
                tried=turn.tried | {place.account.slug},
                retry_after=turn.retry_after,
                only_limited=turn.only_limited,
                checked_at=now,
                not_before=place.not_before,
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


def _put_back(messages: Sequence[Message], verdicts: Mapping[UUID, RoutingDecision], now: datetime) -> None:
    """No account takes these now: those that one could take later wait, the others fail at once."""
    moves = []
    for message in messages:
        verdict = verdicts[message.pk]
        if isinstance(verdict, Deferral):
            message.error_code, message.error_detail = verdict.code, verdict.detail[:300]
            message.next_attempt_at = min(now + timedelta(seconds=verdict.seconds), message.expires_at)
            moves.append(Transition(message, Status.QUEUED, Source.DISPATCH, detail=verdict.detail))
        else:
            message.error_code = "no_route"
            message.error_detail = "No provider account serves this number."
            moves.append(Transition(message, Status.FAILED, Source.DISPATCH, detail="no_route"))
    waits = (verdicts[message.pk] for message in messages)
    if any(isinstance(wait, Deferral) and wait.needs_operator for wait in waits):
        logger.error("no provider account that carries them is enabled; messages wait")
    transitions.apply(moves, now=now, fields=["error_code", "error_detail", "next_attempt_at"])
