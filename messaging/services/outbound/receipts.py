"""Delivery receipts: stored raw first, then applied to their message, or parked until the message is known."""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from messaging import log_context
from messaging.models import DeliveryAttempt, Message, ProviderCallback
from messaging.services import transitions
from messaging.services.privacy import fingerprints
from messaging.services.recipients import phone_numbers, suppressions
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition
from messaging.states import Source, Status, can_transition
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.models import ProviderAccount
from providers.state import account_state
from providers.state.health import ReceiptOutcome

logger = logging.getLogger(__name__)

Outcome = DeliveryAttempt.Outcome
State = ProviderCallback.State
R = ReportedStatus

TARGETS: dict[ReportedStatus, Status] = {
    R.SENT: Status.SENT,
    R.DELIVERED: Status.DELIVERED,
    R.UNDELIVERED: Status.UNDELIVERED,
    R.FAILED: Status.FAILED,
    R.CANCELED: Status.CANCELED,
    R.INVALID: Status.UNDELIVERED,
    R.OPTED_OUT: Status.UNDELIVERED,
}
ERROR_CODES: dict[ReportedStatus, str] = {
    R.UNDELIVERED: "undelivered",
    R.FAILED: "failed_by_provider",
    R.CANCELED: "canceled_by_provider",
    R.INVALID: "recipient_invalid",
    R.OPTED_OUT: "recipient_opted_out",
}
MESSAGE_FIELDS = (
    "provider",
    "provider_message_id",
    "sent_at",
    "delivered_at",
    "error_code",
    "error_detail",
    "next_attempt_at",
)
# Counted in an account's delivery rate. Invalid numbers and opt-outs say nothing about the account.
DELIVERY_OUTCOME: dict[ReportedStatus, ReceiptOutcome] = {
    R.DELIVERED: ReceiptOutcome.DELIVERED,
    R.UNDELIVERED: ReceiptOutcome.UNDELIVERED,
    R.FAILED: ReceiptOutcome.UNDELIVERED,
}
MAYBE_ACCEPTED = (Outcome.CALLING, Outcome.ACCEPTED, Outcome.UNKNOWN)
SWEEP_LIMIT = 500


def ingest(
    report: StatusReport, *, account: ProviderAccount, body: bytes, attempt_id: UUID | None, now: datetime
) -> State:
    """Store one authenticated receipt and apply it to its message, whatever transport delivered it.

    `body` is the receipt as received: the same bytes again are the same receipt. `attempt_id` is the attempt that the
    receipt names besides the provider's id. The receipt is committed even when applying it fails. Clients have an event
    to be notified of when the result is `APPLIED`.
    """
    kept = record(account=account, body=body, report=report, attempt_id=attempt_id, now=now)
    return apply(kept.pk, now=now)


def record(
    *,
    account: ProviderAccount,
    body: bytes,
    report: StatusReport | None,
    attempt_id: UUID | None,
    now: datetime,
    kind: str = ProviderCallback.Kind.STATUS,
) -> ProviderCallback:
    """Store one authenticated callback, or return the stored row of the identical one. `report` is None if it is malformed.

    It is committed before the message is looked up: either `apply` finds the attempt by its provider id, or `match_parked`,
    which runs after that id is stored, finds this callback.
    """
    understood = {} if report is None else _understood(report)
    callback = ProviderCallback(
        provider=account,
        kind=kind,
        received_at=now,
        body=body.decode("utf-8", "replace").replace("\x00", "\ufffd"),
        digest=_digest(account, body),
        attempt_id=_existing_attempt(account, attempt_id),
        **{"state": State.MALFORMED, **understood},
    )
    with transaction.atomic():
        ProviderCallback.objects.bulk_create([callback], ignore_conflicts=True)
        kept = ProviderCallback.objects.filter(provider=account, digest=callback.digest)
        found = kept.get()
        if understood and found.state == State.MALFORMED:
            # It arrived before, when the account's configuration could not parse it.
            kept.filter(state=State.MALFORMED).update(attempt=callback.attempt_id, **understood)
            found.refresh_from_db()
        if found.pk == callback.pk and found.state == State.MALFORMED:
            _tally(found, State.MALFORMED, now).write()
    return found


def _digest(account: ProviderAccount, body: bytes) -> str:
    """The digest under which the identical callback was stored before a change of `SECRET_KEY`, else the current one."""
    newest, *older = fingerprints.hmac_digest("callback", body)
    if not older:
        return newest
    kept = ProviderCallback.objects.filter(provider=account, digest__in=older).values_list("digest", flat=True)
    return kept.first() or newest


def _tally(callback: ProviderCallback, state: State, now: datetime) -> CounterBatch:
    tally = CounterBatch()
    tally.called_back(callback.provider_id, state, now=now)
    return tally


def _understood(report: StatusReport) -> dict[str, Any]:
    return {
        "state": State.UNMATCHED,
        "provider_message_id": report.provider_message_id,
        "reported": report.status,
        "word": report.raw_status[:64],
        "error_code": report.error_code[:64],
    }


def _existing_attempt(account: ProviderAccount, attempt_id: UUID | None) -> UUID | None:
    if attempt_id is None:
        return None
    return DeliveryAttempt.objects.filter(pk=attempt_id, provider=account).values_list("pk", flat=True).first()


def apply(callback_id: UUID, *, now: datetime) -> State:
    """Apply a stored callback to its message and return its new state: `UNMATCHED` while the message is not known.

    Safe to repeat.
    """
    with transaction.atomic():
        callback = ProviderCallback.objects.select_for_update().get(pk=callback_id)
        if callback.state != State.UNMATCHED:
            return State(callback.state)
        attempt = _attempt_of(callback)
        if attempt is None:
            return State.UNMATCHED
        message = Message.objects.select_for_update().get(pk=attempt.message_id)
        callback.attempt, callback.message = attempt, message
        callback.state, callback.note = _apply_to_message(callback, attempt, message, now)
        if callback.state == State.IGNORED:
            _tally(callback, State.IGNORED, now).write()
        callback.save(update_fields=["attempt", "message", "state", "note"])
    delivery = DELIVERY_OUTCOME.get(R(callback.reported))
    if callback.state == State.APPLIED and delivery is not None:
        account_state.record_receipt(callback.provider_id, delivery, now=now)
    with log_context.message_context(message.pk):
        log_context.log_receipt(callback.provider_id, reported=callback.reported, state=callback.state)
    return State(callback.state)


def _attempt_of(callback: ProviderCallback) -> DeliveryAttempt | None:
    """Find it by the provider's id, else by the token in our callback URL if that attempt may be accepted but has no id."""
    by_id = DeliveryAttempt.objects.filter(
        provider=callback.provider_id, provider_message_id=callback.provider_message_id
    ).first()
    if by_id is not None or callback.attempt_id is None:
        return by_id
    return DeliveryAttempt.objects.filter(
        pk=callback.attempt_id, provider_message_id="", outcome__in=MAYBE_ACCEPTED
    ).first()


def _apply_to_message(
    callback: ProviderCallback, attempt: DeliveryAttempt, message: Message, now: datetime
) -> tuple[ProviderCallback.State, str]:
    reported = ReportedStatus(callback.reported)
    target = TARGETS.get(reported)
    if target is None:
        if reported is R.UNRECOGNIZED:
            logger.warning("account %s reported a status that its configuration does not list", callback.provider_id)
        return State.IGNORED, "no change of status"
    _update_recipient(callback, message, reported, now)
    if target is not Status.DELIVERED:
        if attempt.number < message.attempts and not _has_its_id(message, callback):
            return State.IGNORED, f"belongs to attempt {attempt.number}; a later one was made"
        if message.status == Status.QUEUED:
            return State.IGNORED, f"belongs to attempt {attempt.number}; the message is queued again"
    if not can_transition(Status(message.status), target, by_operator=False):
        return State.IGNORED, f"the message is {message.status} already"
    _describe(callback, attempt, message, reported, now)
    transitions.apply(
        [Transition(message, target, Source.RECEIPT, callback.provider_id, _detail(callback))],
        now=now,
        fields=MESSAGE_FIELDS,
        tally=_tally(callback, State.APPLIED, now),
    )
    return State.APPLIED, ""


def _update_recipient(callback: ProviderCallback, message: Message, reported: ReportedStatus, now: datetime) -> None:
    """Record an invalid number or an opt-out. It holds whatever the message's status is now, except delivered."""
    if message.status == Status.DELIVERED:
        return
    if reported is R.INVALID:
        phone_numbers.mark_inactive({message.to_number: f"{callback.provider_id}: recipient_invalid"}, now=now)
    if reported is R.OPTED_OUT:
        sender = message.from_number or callback.provider.from_number or suppressions.EVERY_SENDER
        suppressions.add_reported([(message.to_number, sender)], reason=f"{callback.provider_id}: opted out", now=now)


def _has_its_id(message: Message, callback: ProviderCallback) -> bool:
    """Return True if the message has this provider id. A provider may return the first attempt's id for a later attempt."""
    current = (message.provider_id, message.provider_message_id)
    return current == (callback.provider_id, callback.provider_message_id)


def _describe(
    callback: ProviderCallback, attempt: DeliveryAttempt, message: Message, reported: ReportedStatus, now: datetime
) -> None:
    message.next_attempt_at = None
    message.sent_at = message.sent_at or attempt.started_at
    if message.provider_id != callback.provider_id or not message.provider_message_id:
        # Account and id belong together: a receipt for another account's attempt replaces both.
        message.provider_id = callback.provider_id
        message.provider_message_id = "" if _is_taken(callback) else callback.provider_message_id
    if reported is R.DELIVERED:
        message.delivered_at = now
    message.error_code = ERROR_CODES.get(reported, "")
    message.error_detail = _detail(callback) if message.error_code else ""


def _is_taken(callback: ProviderCallback) -> bool:
    return Message.objects.filter(
        provider=callback.provider_id, provider_message_id=callback.provider_message_id
    ).exists()


def _detail(callback: ProviderCallback) -> str:
    code = f" ({callback.error_code})" if callback.error_code else ""
    return f"{callback.provider_id} reported {callback.word}{code}"


def match_parked(attempts: Iterable[DeliveryAttempt], *, now: datetime) -> None:
    """Apply the receipts that arrived before these attempts' provider ids were stored."""
    clauses = Q(pk__in=[])
    for attempt in attempts:
        clauses |= Q(provider=attempt.provider_id, provider_message_id=attempt.provider_message_id)
    parked = ProviderCallback.objects.filter(clauses, state=State.UNMATCHED).order_by("pk")
    for callback_id in parked.values_list("pk", flat=True):
        apply(callback_id, now=now)


def sweep_parked(*, now: datetime) -> int:
    """Apply parked receipts whose attempt is known by now: a process may have died between its two steps."""
    known = DeliveryAttempt.objects.filter(
        provider=OuterRef("provider"), provider_message_id=OuterRef("provider_message_id")
    )
    late = ProviderCallback.objects.filter(Exists(known), state=State.UNMATCHED).order_by("pk")
    callback_ids = list(late.values_list("pk", flat=True)[:SWEEP_LIMIT])
    for callback_id in callback_ids:
        apply(callback_id, now=now)
    return len(callback_ids)
