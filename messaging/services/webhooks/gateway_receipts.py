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
from django.db.models import Count, QuerySet

from messaging.event_types import OF_STATUS
from messaging.models import GatewayReceipt, Message
from messaging.services.transitions import save_together
from messaging.services.webhooks import gateway_claims
from messaging.services.webhooks.gateway_claims import GatewayClaim
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
SWEEP_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptJob(GatewayClaim):
    """One receipt to deliver. `source` and `destination` are the addresses of the submission: text, TON and NPI."""

    id: UUID
    source: tuple[str, int, int] = field(repr=False)
    destination: tuple[str, int, int] = field(repr=False)
    submitted_at: datetime
    done_at: datetime
    state: MessageState
    error: str


def make_due(message_ids: Collection[UUID], *, now: datetime) -> None:
    """Make the receipts of the ended messages due; delete those that were not requested.

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


def claim(*, places: Mapping[int, int], now: datetime, lease: timedelta) -> list[ReceiptJob]:
    """Claim due receipts: of each credential in `places` at most so many."""
    return [_job(row) for row in gateway_claims.claim(GatewayReceipt, places=places, now=now, lease=lease)]


def _job(row: GatewayReceipt) -> ReceiptJob:
    return ReceiptJob(
        **gateway_claims.held_by(row),
        source=(row.source, row.source_ton, row.source_npi),
        destination=(row.destination, row.destination_ton, row.destination_npi),
        submitted_at=row.submitted_at,
        done_at=row.done_at or row.submitted_at,
        state=MessageState(row.message_state or MessageState.UNKNOWN),
        error=row.error,
    )


def settle(*, acknowledged: Sequence[ReceiptJob], refused: Sequence[ReceiptJob], now: datetime) -> None:
    """Forget the acknowledged receipts, and try the others again later. A receipt whose lease has ended is left alone."""
    gateway_claims.settle(GatewayReceipt, acknowledged=acknowledged, refused=refused, now=now)


def release(jobs: Sequence[ReceiptJob], *, now: datetime) -> None:
    """Make receipts due again that were claimed and provably not sent."""
    gateway_claims.release(GatewayReceipt, jobs, now=now)


def forget(receipt_id: UUID) -> None:
    """The acknowledgment came late, when the receipt was to be tried again."""
    GatewayReceipt.objects.filter(pk=receipt_id, state=State.PENDING).delete()


def hasten(credential_id: int, *, now: datetime) -> None:
    """A receiver has bound: try at once what failed before it."""
    gateway_claims.hasten(GatewayReceipt, credential_id, now=now)


# --- Sweeps -----------------------------------------------------------------------------------------------------------


def sweep(*, now: datetime) -> None:
    """Return the receipts of dead processes, and report messages as unknown of whose end nothing was heard."""
    gateway_claims.return_expired(GatewayReceipt, now=now)
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
