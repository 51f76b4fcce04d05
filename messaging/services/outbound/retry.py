"""Queues failed, undelivered or unknown messages again on an operator's request: one, or all that match a filter."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from messaging import states
from messaging.models import DeliveryAttempt, Message
from messaging.services import transitions
from messaging.services.costs import budgets
from messaging.services.errors import DomainError, NotRetryable
from messaging.services.outbound.eligibility import Batch, Moment
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition
from messaging.states import Source, Status
from providers.models import SenderNumber

RESET_FIELDS = (
    "rounds_failed", "next_attempt_at", "expires_at", "error_code", "error_detail", "from_number",
    "provider", "provider_message_id", "sent_at", "cancel_requested",
)  # fmt: skip

CHUNK = 500
MAX_MESSAGES = 10_000


@dataclass(slots=True)
class RetryReport:
    """Result of a bulk retry. `refused` counts by code and detail; `more` is set if messages beyond the limit remain."""

    changed: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    queues: set[str] = field(default_factory=set)
    more: bool = False


def retry(*, message_id: UUID, reason: str, actor: User, now: datetime) -> Message:
    """Queue a message again, with its original validity. Raises `NotRetryable` or the error of a check.

    A retried `unknown` message may reach the recipient twice, so only an operator can request it.
    """
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        refusal = _refusals([message], now).get(message.pk)
        if refusal is not None:
            raise refusal
        _requeue([message], reason=reason, actor=actor, now=now)
    return message


def retry_many(*, messages: QuerySet[Message], reason: str, actor: User, now: datetime) -> RetryReport:
    """Retry those of the messages that can be retried, oldest first, at most `MAX_MESSAGES`.

    Each chunk is a transaction of its own, so an interrupted run keeps what is done, and a repeated one continues.
    """
    report, last = RetryReport(), None
    for _ in range(MAX_MESSAGES // CHUNK):
        following = messages if last is None else messages.filter(pk__gt=last)
        keys = list(following.order_by("pk").values_list("pk", flat=True)[:CHUNK])
        if not keys:
            return report
        last = keys[-1]
        _retry_chunk(keys, report, reason=reason, actor=actor, now=now)
    report.more = messages.filter(pk__gt=last).exists()
    return report


def _retry_chunk(keys: Sequence[UUID], report: RetryReport, *, reason: str, actor: User, now: datetime) -> None:
    with transaction.atomic():
        rows = list(Message.objects.select_for_update().filter(pk__in=keys).order_by("pk"))
        refusals = _refusals(rows, now)
        retried = [row for row in rows if row.pk not in refusals]
        _requeue(retried, reason=reason, actor=actor, now=now)
    report.changed += len(retried)
    report.queues |= {row.queue_id for row in retried if row.queue_id is not None}
    report.refused.update((refusal.code, refusal.detail) for refusal in refusals.values())


def _refusals(rows: Sequence[Message], now: datetime) -> dict[UUID, DomainError]:
    """Return the errors by primary key. A retry passes the same checks as a new message, and is charged like one."""
    ended = [row for row in rows if row.status in states.RETRYABLE]
    refusals: dict[UUID, DomainError] = {
        row.pk: NotRetryable(f"The message is {row.status}; only a failed, undelivered or unknown one can be retried.")
        for row in rows
        if row.status not in states.RETRYABLE
    }
    batch = Batch(ended, now=now)
    batch.ignore_velocity()  # an operator decides
    refused = batch.refusals(Moment.ACCEPT)
    refused = {pk: refusal for pk, refusal in refused.items() if refusal.check.error is not None}
    refusals |= {pk: refusal.as_error() for pk, refusal in refused.items()}
    return refusals | budgets.charge_again([row for row in rows if row.pk not in refusals], now=now)


def _requeue(rows: Sequence[Message], *, reason: str, actor: User, now: datetime) -> None:
    if not rows:
        return
    tally = _close_open_attempts(rows, now)
    senders = SenderNumber.objects.filter(number__in={row.from_number for row in rows})
    known = set(senders.values_list("number", flat=True))
    for row in rows:
        _reset(row, known, now)
    moves = [
        Transition(row, Status.QUEUED, Source.OPERATOR, detail=reason, actor=actor, by_operator=True) for row in rows
    ]
    transitions.apply(moves, now=now, fields=RESET_FIELDS, tally=tally)


def _close_open_attempts(rows: Sequence[Message], now: datetime) -> CounterBatch:
    """Close attempts left open by a receipt that ended the message during a call; a message has one open attempt at most.

    Returns their counts.
    """
    tally = CounterBatch()
    open_attempts = DeliveryAttempt.objects.filter(
        message__in=[row.pk for row in rows], outcome=DeliveryAttempt.Outcome.CALLING
    )
    for slug in open_attempts.values_list("provider_id", flat=True):
        tally.attempted(slug, DeliveryAttempt.Outcome.UNKNOWN, now=now)
    open_attempts.update(
        outcome=DeliveryAttempt.Outcome.UNKNOWN,
        error_code="superseded",
        error_detail="The message was queued again before the provider's response was saved.",
        finished_at=now,
    )
    return tally


def _reset(message: Message, known_senders: Collection[str], now: datetime) -> None:
    if message.valid_for is not None:
        message.expires_at = now + timedelta(seconds=message.valid_for)
    message.rounds_failed = 0
    message.next_attempt_at = None
    message.error_code = message.error_detail = ""
    message.provider_id = None
    message.provider_message_id = ""
    message.sent_at = None
    message.cancel_requested = False
    if message.from_number not in known_senders:
        # It is the number of the previous account; the next account has its own.
        message.from_number = ""
