"""Receipts for clients that speak SMPP: due when their message has ended, kept until the client acknowledges them.

The event log says which messages have ended. A receipt is delivered by one server process at a time, under a lease, and its row
is deleted with the acknowledgment: the table holds only what is still to be told.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, QuerySet
from uuid_utils.compat import uuid7

from messaging.event_types import OF_STATUS
from messaging.models import GatewayReceipt, Message
from messaging.services.transitions import save_together
from messaging.states import Status
from providers.smpp.constants import MessageState

logger = logging.getLogger(__name__)

State = GatewayReceipt.State

ENDED: Mapping[Status, MessageState] = {
    Status.DELIVERED: MessageState.DELIVERED,
    Status.UNDELIVERED: MessageState.UNDELIVERABLE,
    Status.FAILED: MessageState.REJECTED,
    Status.CANCELED: MessageState.DELETED,
}
# What a client is told that asks for a message that has not ended.
OPEN: Mapping[str, MessageState] = {Status.UNKNOWN: MessageState.UNKNOWN}
# The events after which a receipt may be due.
EVENT_TYPES = frozenset(OF_STATUS[status] for status in ENDED)
EXPIRED = "expired"
# The three digits of `err`, by the message's error code; the first two are the SMPP status that says the same.
ERRORS = {"recipient_invalid": "011", "recipient_inactive": "011", "recipient_opted_out": "069"}
NO_ERROR, OTHER_ERROR = "000", "255"
# Which states each value of `registered_delivery` asks for; 1 asks for all.
ON_FAILURE, ON_SUCCESS = 2, 3

KEPT_FOR = timedelta(days=7)
# Seconds until the next attempt after the first, second, … that was refused or not answered; then the last one.
DELAYS = (5, 30, 120, 600, 1800, 3600)
SWEEP_CHUNK = 500


@dataclass(frozen=True, slots=True)
class ReceiptJob:
    """One receipt to deliver. `source` and `destination` are the addresses of the submission: text, TON and NPI."""

    id: UUID
    credential_id: int
    claim_id: UUID
    source: tuple[str, int, int] = field(repr=False)
    destination: tuple[str, int, int] = field(repr=False)
    submitted_at: datetime
    done_at: datetime
    state: MessageState
    error: str
    attempts: int


def make_due(message_ids: Collection[UUID], *, now: datetime) -> None:
    """Make the receipts of those of these messages due that have ended, or delete the ones nobody asked for.

    One query for messages without receipts. The caller's transaction has numbered the events of the messages.
    """
    if message_ids:
        waiting = GatewayReceipt.objects.filter(message__in=message_ids, state=State.WAITING)
        _end(waiting.select_related("message").select_for_update(of=("self",)), now)


def _end(waiting: QuerySet[GatewayReceipt], now: datetime) -> None:
    ended: list[GatewayReceipt] = []
    unwanted: list[GatewayReceipt] = []
    for row in waiting:
        state = state_of(row.message) if row.message is not None else None
        if state is None:
            continue  # an operator has queued it again
        row.error = error_of(row.message) if row.message is not None else OTHER_ERROR
        _make_pending(row, state, now)
        (ended if _is_wanted(row) else unwanted).append(row)
    _save(ended)
    if unwanted:
        GatewayReceipt.objects.filter(pk__in=[row.pk for row in unwanted]).delete()


def _make_pending(row: GatewayReceipt, state: MessageState, now: datetime) -> None:
    row.state, row.message_state, row.next_attempt_at = State.PENDING, int(state), now
    row.done_at = (row.message.delivered_at if row.message is not None else None) or now


def _save(rows: Sequence[GatewayReceipt]) -> None:
    if rows:
        save_together(rows, ["state", "message_state", "next_attempt_at", "done_at", "error"])


def state_of(message: Message) -> MessageState | None:
    """None while the message has not ended."""
    status = Status(message.status)
    if status is Status.FAILED and message.error_code == EXPIRED:
        return MessageState.EXPIRED
    return ENDED.get(status)


def error_of(message: Message) -> str:
    if message.status in {Status.DELIVERED, Status.CANCELED} or message.error_code == EXPIRED:
        return NO_ERROR
    return ERRORS.get(message.error_code, OTHER_ERROR)


def _is_wanted(row: GatewayReceipt) -> bool:
    is_success = row.message_state == MessageState.DELIVERED
    return not (row.wanted == ON_FAILURE and is_success) and not (row.wanted == ON_SUCCESS and not is_success)


def end_without_message(receipt_ids: Collection[UUID], state: MessageState, *, now: datetime) -> None:
    """Make the receipts of texts due that never became a message. In the caller's transaction."""
    rows = list(GatewayReceipt.objects.filter(pk__in=receipt_ids, state=State.WAITING).select_for_update())
    for row in rows:
        row.error = OTHER_ERROR if state is MessageState.REJECTED else NO_ERROR
        _make_pending(row, state, now)
    unwanted = [row.pk for row in rows if not _is_wanted(row)]
    _save([row for row in rows if row.pk not in unwanted])
    if unwanted:
        GatewayReceipt.objects.filter(pk__in=unwanted).delete()


# --- Delivery ---------------------------------------------------------------------------------------------------------


def due(now: datetime) -> QuerySet[GatewayReceipt]:
    return GatewayReceipt.objects.filter(state=State.PENDING, next_attempt_at__lte=now)


def claim(*, places: Mapping[int, int], now: datetime, lease: timedelta) -> list[ReceiptJob]:
    """Claim due receipts: of each credential in `places` at most so many. Concurrent processes claim different ones."""
    waiting = due(now).filter(credential__in=[pk for pk, free in places.items() if free > 0])
    credential_ids = sorted(set(waiting.order_by().values_list("credential", flat=True).distinct()))
    if not credential_ids:
        return []
    claim_id = uuid7()
    with transaction.atomic():
        rows: list[GatewayReceipt] = []
        for credential_id in credential_ids:
            of_credential = due(now).filter(credential=credential_id).order_by("next_attempt_at", "pk")
            rows += of_credential.select_for_update(skip_locked=True)[: places[credential_id]]
        GatewayReceipt.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=State.SENDING,
            attempts=F("attempts") + 1,
            next_attempt_at=None,
            claim_id=claim_id,
            lease_until=now + lease,
        )
    return [_job(row, claim_id) for row in rows]


def _job(row: GatewayReceipt, claim_id: UUID) -> ReceiptJob:
    return ReceiptJob(
        id=row.pk,
        credential_id=row.credential_id,
        claim_id=claim_id,
        source=(row.source, row.source_ton, row.source_npi),
        destination=(row.destination, row.destination_ton, row.destination_npi),
        submitted_at=row.submitted_at,
        done_at=row.done_at or row.submitted_at,
        state=MessageState(row.message_state or MessageState.UNKNOWN),
        error=row.error,
        attempts=row.attempts + 1,
    )


def settle(*, acknowledged: Sequence[ReceiptJob], refused: Sequence[ReceiptJob], now: datetime) -> None:
    """Forget the acknowledged receipts, and try the others again later. A receipt whose lease has ended is left alone."""
    for job in refused:
        seconds = DELAYS[min(job.attempts, len(DELAYS)) - 1]
        _held(job).update(
            state=State.PENDING, next_attempt_at=now + timedelta(seconds=seconds), claim_id=None, lease_until=None
        )
    by_claim: dict[UUID, list[UUID]] = {}
    for job in acknowledged:
        by_claim.setdefault(job.claim_id, []).append(job.id)
    for claim_id, ids in by_claim.items():
        GatewayReceipt.objects.filter(pk__in=ids, claim_id=claim_id).delete()


def release(jobs: Sequence[ReceiptJob], *, now: datetime) -> None:
    """Make receipts due again that were claimed and provably not sent."""
    for job in jobs:
        _held(job).update(
            state=State.PENDING,
            next_attempt_at=now,
            claim_id=None,
            lease_until=None,
            attempts=job.attempts - 1,
        )


def _held(job: ReceiptJob) -> QuerySet[GatewayReceipt]:
    return GatewayReceipt.objects.filter(pk=job.id, claim_id=job.claim_id)


def forget(receipt_id: UUID) -> None:
    """The acknowledgment came late, when the receipt was to be tried again."""
    GatewayReceipt.objects.filter(pk=receipt_id, state=State.PENDING).delete()


def hasten(credential_id: int, *, now: datetime) -> None:
    """A receiver has bound: try at once what failed before it."""
    GatewayReceipt.objects.filter(credential=credential_id, state=State.PENDING, next_attempt_at__gt=now).update(
        next_attempt_at=now
    )


# --- Sweeps -----------------------------------------------------------------------------------------------------------


def sweep(*, now: datetime) -> None:
    """Return the receipts of dead processes, and report messages as unknown of whose end nothing was heard."""
    expired = GatewayReceipt.objects.filter(state=State.SENDING, lease_until__lte=now)
    expired.update(state=State.PENDING, next_attempt_at=now, claim_id=None, lease_until=None)
    overdue = GatewayReceipt.objects.filter(state=State.WAITING, give_up_at__lte=now).order_by("give_up_at")
    if not overdue.exists():
        return
    with transaction.atomic():
        rows = list(overdue.select_related("message").select_for_update(of=("self",), skip_locked=True)[:SWEEP_CHUNK])
        for row in rows:
            state = state_of(row.message) if row.message is not None else MessageState.EXPIRED
            row.error = error_of(row.message) if row.message is not None and state is not None else NO_ERROR
            _make_pending(row, state or MessageState.UNKNOWN, now)
        unwanted = [row.pk for row in rows if not _is_wanted(row)]
        _save([row for row in rows if row.pk not in unwanted])
        GatewayReceipt.objects.filter(pk__in=unwanted).delete()


def purge(*, now: datetime) -> int:
    """Delete the receipts that no client has taken for `KEPT_FOR`; return their number."""
    ended = GatewayReceipt.objects.filter(done_at__lt=now - KEPT_FOR).exclude(state=State.SENDING)
    count, _ = ended.delete()
    if count:
        logger.warning("%d receipts deleted: no client has taken them for %d days", count, KEPT_FOR.days)
    return count


def counts() -> dict[str, int]:
    """Receipts by state. The table holds only what is still to be told."""
    found = dict(GatewayReceipt.objects.order_by().values_list("state").annotate(count=Count("pk")))
    return {state: found.get(state, 0) for state in State.values}
