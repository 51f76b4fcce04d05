"""What a receipt does: to its message, its recipient and the figures of its account."""

import logging
from datetime import datetime

from messaging import log_context
from messaging.models import DeliveryAttempt, Message, ProviderCallback
from messaging.services import transitions
from messaging.services.costs import carrier_prices
from messaging.services.outbound import receipt_results, verification_codes
from messaging.services.outbound.receipt_results import ERROR_CODES, TARGETS
from messaging.services.recipients import phone_numbers, suppressions
from messaging.services.reporting.rollups import CounterBatch
from messaging.services.transitions import Transition, save_together
from messaging.states import Source, Status, can_transition
from providers.contract.callbacks import ReportedStatus
from providers.state import account_state
from providers.state.health import ReceiptOutcome

logger = logging.getLogger(__name__)

State = ProviderCallback.State
R = ReportedStatus

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


def apply_to_message(
    callback: ProviderCallback,
    attempt: DeliveryAttempt,
    message: Message,
    *,
    now: datetime,
    may_have_parts: bool = True,
) -> ReportedStatus | None:
    """Apply a receipt to its locked message, and set the callback's new state; the caller saves the callback.

    `may_have_parts`: False if the attempt is known to have none. Returns the report that has set the message's status before.
    """
    callback.attempt, callback.message = attempt, message
    if message.verification_id is not None:
        verification_codes.mask_receipt(callback, message.verification_id)
    before = receipt_results.reported_so_far(message)
    if callback.price is not None and callback.reported in TARGETS:
        carrier_prices.correct(attempt.pk, message, price=callback.price, currency=callback.currency, now=now)
    callback.state, callback.note = _apply(callback, attempt, message, before, now=now, may_have_parts=may_have_parts)
    if callback.state == State.IGNORED:
        _tally(callback, State.IGNORED, now).write()
    return before


def note_applied(callback: ProviderCallback, message: Message, before: ReportedStatus | None, *, now: datetime) -> None:
    """Log a receipt, and count it in the account's delivery rate. Call it after the commit."""
    if callback.state == State.APPLIED:
        _record_delivery(callback, message, before, now)
    with log_context.message_context(message.pk):
        log_context.log_receipt(callback.provider_id, reported=callback.reported, state=callback.state)


def _tally(callback: ProviderCallback, state: State, now: datetime) -> CounterBatch:
    tally = CounterBatch()
    tally.called_back(callback.provider_id, state, now=now)
    return tally


def _record_delivery(
    callback: ProviderCallback, message: Message, before: ReportedStatus | None, now: datetime
) -> None:
    """Count the result in the account's delivery rate, unless an earlier receipt had the same one."""
    reported = R(callback.reported)
    outcome = DELIVERY_OUTCOME.get(reported)
    if outcome is None or TARGETS[reported] != message.status or (before and DELIVERY_OUTCOME.get(before) is outcome):
        return
    account_state.record_receipt(callback.provider_id, outcome, now=now)


def _apply(
    callback: ProviderCallback,
    attempt: DeliveryAttempt,
    message: Message,
    before: ReportedStatus | None,
    *,
    now: datetime,
    may_have_parts: bool,
) -> tuple[ProviderCallback.State, str]:
    reported = R(callback.reported)
    if reported not in TARGETS:
        return State.IGNORED, _without_effect(callback)
    parts = None
    if may_have_parts:
        parts = receipt_results.of_parts(attempt, callback.provider_message_id, reported)
    result = _result(callback, attempt, message, before, parts)
    if not (message.status == Status.DELIVERED and (before is None or result is R.DELIVERED)):
        _update_recipient(callback, message, now)
    target = TARGETS[result]
    if target is not Status.DELIVERED:
        if attempt.number < message.attempts and not _has_its_id(message, callback):
            return State.IGNORED, f"belongs to attempt {attempt.number}; a later one was made"
        if message.status == Status.QUEUED:
            return State.IGNORED, f"belongs to attempt {attempt.number}; the message is queued again"
    if not _changes(message, before, result):
        is_part = reported is R.DELIVERED and result is R.SENT
        return State.IGNORED, "other parts are to come" if is_part else f"the message is {message.status} already"
    _describe(callback, attempt, message, result, now)
    tally = _tally(callback, State.APPLIED, now)
    if message.status == target:  # another reason for the same status
        save_together([message], ["error_code", "error_detail"])
        tally.write()
        return State.APPLIED, ""
    change = Transition(
        message,
        target,
        Source.RECEIPT,
        callback.provider_id,
        _detail(callback),
        corrects_receipt=before is not None,
    )
    transitions.apply([change], now=now, fields=MESSAGE_FIELDS, tally=tally)
    return State.APPLIED, ""


def _changes(message: Message, before: ReportedStatus | None, result: ReportedStatus) -> bool:
    """Receipts correct receipts: what an operator, a client or dispatch has ended stays as it is."""
    status, target = Status(message.status), TARGETS[result]
    is_correction = before is not None
    if result is before:
        return False
    return (is_correction and status is target) or can_transition(
        status, target, by_operator=False, corrects_receipt=is_correction
    )


def _without_effect(callback: ProviderCallback) -> str:
    if callback.reported != R.UNRECOGNIZED:
        return "no change of status"
    logger.warning("account %s reported a status that its configuration does not list", callback.provider_id)
    return "the account's configuration does not list this status"


def _result(
    callback: ProviderCallback,
    attempt: DeliveryAttempt,
    message: Message,
    before: ReportedStatus | None,
    parts: ReportedStatus | None,
) -> ReportedStatus:
    """What this receipt and the earlier ones say together. `parts`: what its parts say, None without parts."""
    reported = R(callback.reported) if parts is None else parts
    if before is None:
        return reported
    has_parts = parts is not None or message.segments > 1
    is_same = has_parts and receipt_results.is_about(attempt, message)
    return receipt_results.combine([before, reported], has_parts=is_same)


def _update_recipient(callback: ProviderCallback, message: Message, now: datetime) -> None:
    """Record an invalid number or an opt-out. It holds whatever the message's status is now, except delivered."""
    reported = R(callback.reported)
    if reported is R.INVALID:
        phone_numbers.mark_inactive({message.to_number: f"{callback.provider_id}: recipient_invalid"}, now=now)
    if reported is R.OPTED_OUT:
        sender = message.from_number or callback.provider.from_number or suppressions.EVERY_SENDER
        suppressions.add_reported([(message.to_number, sender)], reason=f"{callback.provider_id}: opted out", now=now)


def _has_its_id(message: Message, callback: ProviderCallback) -> bool:
    """Return True if the message has this provider id. A provider may return the first attempt's id for a later attempt."""
    current = (message.provider_id, message.provider_message_id)
    return bool(callback.provider_message_id) and current == (callback.provider_id, callback.provider_message_id)


def _describe(
    callback: ProviderCallback, attempt: DeliveryAttempt, message: Message, result: ReportedStatus, now: datetime
) -> None:
    message.next_attempt_at = None
    message.sent_at = message.sent_at or attempt.started_at
    if message.provider_id != callback.provider_id or not message.provider_message_id:
        # Account and id belong together: a receipt for another account's attempt replaces both.
        message.provider_id = callback.provider_id
        message.provider_message_id = attempt.provider_message_id or _id_of(callback)
    message.delivered_at = now if result is R.DELIVERED else None
    message.error_code = ERROR_CODES.get(result, "")
    message.error_detail = _detail(callback) if message.error_code else ""


def _id_of(callback: ProviderCallback) -> str:
    """The provider's id, unless the provider repeats our message's id in its place."""
    return "" if callback.provider_message_id == str(callback.message_id) else callback.provider_message_id


def _detail(callback: ProviderCallback) -> str:
    code = f" ({callback.error_code})" if callback.error_code else ""
    return f"{callback.provider_id} reported {callback.word}{code}"
