"""Writing down what came of a batch of calls: a constant number of queries, however many calls there were."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from messaging import retry_policy
from messaging.models import DeliveryAttempt, Message
from messaging.services import transitions
from messaging.services.outbound import receipts
from messaging.services.outbound.dispatch.attempts import (
    Attempt,
    drop_ineligible,
    release_unused_probes,
    write_attempts,
)
from messaging.services.outbound.dispatch.router import Router, RoutingDecision, RoutingRequest
from messaging.services.outbound.dispatch.sending import SendResult
from messaging.services.recipients import phone_numbers, suppressions
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status
from providers.errors import (
    NotCalled,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Rejected,
    SendError,
    Unavailable,
)

logger = logging.getLogger(__name__)

Outcome = DeliveryAttempt.Outcome
ATTEMPT_FIELDS = ("outcome", "error_code", "error_detail", "provider_message_id", "latency_ms", "finished_at")
ANSWER_FIELDS = ("provider", "provider_message_id", "from_number", "sent_at")
MESSAGE_FIELDS = (*ANSWER_FIELDS, "error_code", "error_detail", "rounds_failed", "next_attempt_at")


@dataclass(frozen=True, slots=True)
class _Ids:
    """Attempts that cannot keep the provider message id of their answer.

    `conflicts`: another message has it, so this one goes without receipts. `repeats`: an earlier attempt of the same message
    has it, at a provider that recognises what it has taken; receipts find the message by that one.
    """

    conflicts: frozenset[UUID]
    repeats: frozenset[UUID]


@dataclass(slots=True)
class _Batch:
    """What one settling is about to write."""

    now: datetime
    position: Callable[[], float]
    ids: _Ids
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    moves: list[Transition] = field(default_factory=list)
    already_moved: list[Message] = field(default_factory=list)
    turns: list[RoutingRequest] = field(default_factory=list)
    # Why the accounts of these turns did not take their messages.
    unavailable: dict[UUID, Unavailable] = field(default_factory=dict)
    invalid: dict[str, str] = field(default_factory=dict)
    opted_out: list[tuple[str, str]] = field(default_factory=list)
    # Attempts that need not be open any more: their messages have moved on.
    late: set[UUID] = field(default_factory=set)
    tally: CounterBatch = field(default_factory=CounterBatch)


def settle(
    answers: Sequence[SendResult], *, now: datetime, lease: timedelta, position: Callable[[], float]
) -> list[Attempt]:
    """Settle the answers and return the calls to make next: messages that another account may still take at once."""
    verdicts = _next_accounts(answers, now)
    calls: list[Attempt] = []
    try:
        calls, batch = _settle(answers, verdicts, now=now, lease=lease, position=position)
    except IntegrityError:
        # Another worker got the same provider message id between our look and our write: now the look finds it.
        logger.warning("a provider message id was taken while settling; settling again")
        calls, batch = _settle(answers, verdicts, now=now, lease=lease, position=position)
    finally:
        release_unused_probes(verdicts, calls)
    known = [attempt for attempt in batch.attempts if attempt.provider_message_id]
    if known:
        _match_parked(known, now)
    return calls


def _next_accounts(answers: Sequence[SendResult], now: datetime) -> Mapping[UUID, RoutingDecision]:
    """Where those go that were provably not accepted: asked before the transaction, for it asks Redis."""
    turns = [_turn(answer, answer.call.message) for answer in answers if isinstance(answer.error, Unavailable)]
    return Router(turns, now=now).route() if turns else {}


def _turn(answer: SendResult, message: Message) -> RoutingRequest:
    call, error = answer.call, answer.error
    return RoutingRequest(
        message,
        call.claim_id,
        call.tried,
        retry_after=_earliest(call, error.retry_after),
        only_limited=call.only_limited and isinstance(error, (NotCalled, RateLimited)),
    )


def _earliest(call: Attempt, wish: float | None) -> float | None:
    """The next round begins when the first account of this one may be called again; pauses keep it from the others.

    None, the usual delay, as soon as one of them has no wish; "at once" is none.
    """
    if not wish or len(call.tried) == 1:
        return wish or None
    return None if call.retry_after is None else min(wish, call.retry_after)


def _match_parked(attempts: Sequence[DeliveryAttempt], now: datetime) -> None:
    """Not worth the calls to make next, which exist nowhere else by now: what fails here, the sweep does."""
    try:
        receipts.match_parked(attempts, now=now)
    except Exception as error:  # noqa: BLE001 (whatever it is, those calls have to be made)
        logger.warning("parked receipts are left to the sweep (%s)", type(error).__name__)


def _settle(
    answers: Sequence[SendResult],
    verdicts: Mapping[UUID, RoutingDecision],
    *,
    now: datetime,
    lease: timedelta,
    position: Callable[[], float],
) -> tuple[list[Attempt], _Batch]:
    with transaction.atomic():
        ids = [answer.call.message.pk for answer in answers]
        rows = {row.pk: row for row in Message.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
        batch = _Batch(now=now, position=position, ids=_ids(answers))
        for answer in answers:
            if answer.call.message.pk in rows:  # else it was erased meanwhile, with its attempts
                _weigh(answer, rows[answer.call.message.pk], batch)
        if batch.attempts:
            _count(batch)
            save_together(batch.attempts, ATTEMPT_FIELDS)
        calls = _fail_over(batch, verdicts, lease)
        transitions.apply(batch.moves, now=now, fields=MESSAGE_FIELDS, tally=batch.tally)
        if batch.already_moved:
            save_together(batch.already_moved, ANSWER_FIELDS)
        phone_numbers.mark_inactive(batch.invalid, now=now)
        if batch.opted_out:
            suppressions.add_reported(batch.opted_out, reason="the provider says so", now=now)
    return calls, batch


def _ids(answers: Sequence[SendResult]) -> _Ids:
    """Which attempts cannot keep the provider message id of their answer, because another attempt has it already."""
    claimed: dict[tuple[str, str], UUID] = {}
    conflicts, repeats = set(), set()
    messages = {answer.call.attempt_id: answer.call.message.pk for answer in answers}
    for answer in answers:
        if answer.provider_message_id:
            key = (answer.call.account.slug, answer.provider_message_id)
            if claimed.setdefault(key, answer.call.attempt_id) != answer.call.attempt_id:
                conflicts.add(answer.call.attempt_id)
    if claimed:
        clauses = Q()
        for slug in {slug for slug, _ in claimed}:
            clauses |= Q(provider=slug, provider_message_id__in=[pmid for s, pmid in claimed if s == slug])
        columns = ("provider_id", "provider_message_id", "pk", "message_id")
        for slug, pmid, pk, message_id in DeliveryAttempt.objects.filter(clauses).values_list(*columns):
            attempt_id = claimed[slug, pmid]
            if attempt_id != pk:
                (repeats if messages[attempt_id] == message_id else conflicts).add(attempt_id)
    for _ in conflicts:
        logger.error("a provider answered with a message id that another message has; the message has no receipts")
    return _Ids(frozenset(conflicts), frozenset(repeats))


def _weigh(answer: SendResult, message: Message, batch: _Batch) -> None:
    call, error = answer.call, answer.error
    kept_id = "" if call.attempt_id in batch.ids.conflicts else answer.provider_message_id
    batch.attempts.append(_finished(answer, "" if call.attempt_id in batch.ids.repeats else kept_id, batch.now))
    _note_number(answer, message, batch)
    # The number too: the same claim may already be at its next account, when an answer is settled again after a commit
    # whose confirmation was lost with the connection.
    is_latest = message.attempts == call.number
    held = is_latest and message.status == Status.SENDING and message.claim_id == call.claim_id
    swept = is_latest and message.status == Status.UNKNOWN
    if not held:
        batch.late.add(call.attempt_id)
    if error is None:
        _accepted(answer, message, kept_id, batch, movable=held or swept)
    elif not held:
        logger.warning("the answer for attempt %s came after its message had moved on", call.attempt_id)
    elif isinstance(error, Unavailable):
        batch.unavailable[message.pk] = error
        message.queue = call.message.queue
        batch.turns.append(_turn(answer, message))
    else:
        message.error_code, message.error_detail = error.error_code, error.detail[:300]
        target = Status.FAILED if isinstance(error, Rejected) else Status.UNKNOWN
        batch.moves.append(_move(message, target, call, error.error_code))


def _note_number(answer: SendResult, message: Message, batch: _Batch) -> None:
    """What the provider says of the number and its person holds however late it comes, except of a delivered message."""
    account, error = answer.call.account, answer.error
    if message.status == Status.DELIVERED:
        return
    if isinstance(error, RecipientInvalid):
        batch.invalid[message.to_number] = f"{account.slug}: {error.error_code}"
    if isinstance(error, RecipientOptedOut):
        sender = message.from_number or account.from_number or suppressions.EVERY_SENDER
        batch.opted_out.append((message.to_number, sender))


def _count(batch: _Batch) -> None:
    """Each attempt once for each outcome that it gets; what was settled before, or swept, may get the same one again."""
    before = dict(DeliveryAttempt.objects.filter(pk__in=batch.late).values_list("pk", "outcome")) if batch.late else {}
    for attempt in batch.attempts:
        if before.get(attempt.pk) != attempt.outcome:
            batch.tally.attempted(attempt.provider_id, attempt.outcome, now=batch.now, latency_ms=attempt.latency_ms)


def _finished(answer: SendResult, kept_id: str, now: datetime) -> DeliveryAttempt:
    error = answer.error
    return DeliveryAttempt(
        id=answer.call.attempt_id,
        message_id=answer.call.message.pk,
        provider=answer.call.account,
        outcome=_outcome(error),
        error_code=error.error_code if error else "",
        error_detail=error.detail[:300] if error else "",
        provider_message_id=kept_id,
        latency_ms=answer.latency_ms,
        finished_at=now,
    )


def _outcome(error: SendError | None) -> str:
    if error is None:
        return Outcome.ACCEPTED
    if isinstance(error, Unavailable):
        return Outcome.UNAVAILABLE
    return Outcome.REJECTED if isinstance(error, Rejected) else Outcome.UNKNOWN


def _accepted(answer: SendResult, message: Message, kept_id: str, batch: _Batch, *, movable: bool) -> None:
    call = answer.call
    # A receipt may have come before this answer, and an operator may have queued the message again: the answer's facts are
    # kept either way, as long as no later attempt has facts of its own.
    if message.attempts == call.number:
        message.provider = call.account
        message.provider_message_id = kept_id
        message.sent_at = message.sent_at or answer.sent_at or batch.now
        message.from_number = message.from_number or call.account.from_number or ""
    if movable:
        message.error_code = message.error_detail = ""
        batch.moves.append(_move(message, Status.SENT, call))
    else:
        batch.already_moved.append(message)


def _fail_over(batch: _Batch, verdicts: Mapping[UUID, RoutingDecision], lease: timedelta) -> list[Attempt]:
    """The next account at once; a message that has none left waits for its next round or fails."""
    if not batch.turns:
        return []
    held = drop_ineligible({turn.message.pk: turn.message for turn in batch.turns}, batch.now)
    for message in held.values():
        error = batch.unavailable[message.pk]
        message.error_code, message.error_detail = error.error_code, error.detail[:300]
    calls = write_attempts(batch.turns, held, verdicts, now=batch.now, lease=lease)
    begun = {call.message.pk for call in calls}
    for turn in batch.turns:
        if turn.message.pk in held and turn.message.pk not in begun:
            _defer(turn, batch)
    return calls


def _defer(turn: RoutingRequest, batch: _Batch) -> None:
    """A round has failed, unless all that was said was "slow down": that may be repeated while the message is valid."""
    message = turn.message
    round_number = message.rounds_failed + 1
    if turn.only_limited:
        round_number = min(round_number, len(retry_policy.DELAYS))
    else:
        message.rounds_failed = round_number
    delay = retry_policy.next_delay(rounds_failed=round_number, position=batch.position(), retry_after=turn.retry_after)
    reason = f"{message.error_code}: {message.error_detail}"
    if delay is None:
        batch.moves.append(Transition(message, Status.FAILED, Source.DISPATCH, message.provider_id or "", reason))
        return
    due = batch.now + timedelta(seconds=delay)
    if due >= message.expires_at:
        batch.moves.append(
            Transition(message, Status.FAILED, Source.DISPATCH, message.provider_id or "", f"expires first; {reason}")
        )
        return
    message.next_attempt_at = due
    batch.moves.append(Transition(message, Status.QUEUED, Source.DISPATCH, message.provider_id or "", reason))


def _move(message: Message, target: Status, call: Attempt, detail: str = "") -> Transition:
    return Transition(message, target, Source.DISPATCH, call.account.slug, detail)
