"""Delivery receipts: stored raw first, then applied to their message, or parked until the message is known."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from messaging.models import AttemptPart, DeliveryAttempt, Message, ProviderCallback
from messaging.services.outbound import addressed_receipts, receipt_effects, receipt_matching
from messaging.services.outbound.receipt_results import TARGETS
from messaging.services.outbound.receipt_storage import record
from messaging.services.transitions import save_together
from providers.contract.callbacks import StatusReport
from providers.models import ProviderAccount

__all__ = ["TARGETS", "apply", "ingest", "match_parked", "record", "sweep_parked"]

logger = logging.getLogger(__name__)

State = ProviderCallback.State

SWEEP_LIMIT = 500


def ingest(
    reports: Sequence[StatusReport], *, account: ProviderAccount, body: bytes, attempt_id: UUID | None, now: datetime
) -> list[State]:
    """Store the authenticated receipts of one request and apply each to its message, whatever transport delivered them.

    All are stored, or none; they are committed even when applying one of them fails. `body` is the request as received: the
    same bytes for the same attempt are the same receipts. `attempt_id` is the attempt that our address names. Clients have an
    event to be notified of when a result is `APPLIED`.
    """
    is_only = len(reports) == 1
    if is_only and attempt_id is not None:
        state = _ingest_addressed(reports[0], account=account, body=body, attempt_id=attempt_id, now=now)
        if state is not None:
            return [state]
    is_one_message = len({(report.reference, report.provider_message_id) for report in reports}) == 1
    with transaction.atomic():
        kept = [
            record(
                account=account,
                body=body,
                report=report,
                attempt_id=attempt_id,
                now=now,
                position=None if is_only else position,
                is_one_message=is_one_message,
            )
            for position, report in enumerate(reports)
        ]
    return [apply(callback.pk, now=now) for callback in kept]


def _ingest_addressed(
    report: StatusReport, *, account: ProviderAccount, body: bytes, attempt_id: UUID, now: datetime
) -> State | None:
    """The new state of an ordinary receipt; None if nothing is stored, because it is not ordinary or something failed."""
    try:
        return addressed_receipts.ingest(report, account=account, body=body, attempt_id=attempt_id, now=now)
    except Exception as error:  # noqa: BLE001 (whatever it was, the receipt has to be stored)
        logger.warning("receipt not applied at once (%s); storing it first", type(error).__name__)
        return None


def apply(callback_id: UUID, *, now: datetime) -> State:
    """Apply a stored callback to its message and return its new state: `UNMATCHED` while the message is not known.

    Safe to repeat.
    """
    with transaction.atomic():
        callback = (
            ProviderCallback.objects.select_for_update(of=("self",)).select_related("attempt").get(pk=callback_id)
        )
        if callback.state != State.UNMATCHED or callback.note:
            return State(callback.state)
        match = receipt_matching.find(callback, now=now)
        attempt = match.attempt
        if attempt is None:
            ProviderCallback.objects.filter(pk=callback.pk).update(note=match.note)
            return State.UNMATCHED
        message = Message.objects.select_for_update().get(pk=attempt.message_id)
        if message.segments > 1 and attempt.outcome == DeliveryAttempt.Outcome.CALLING:
            return State.UNMATCHED  # the response tells whether the parts have ids
        before = receipt_effects.apply_to_message(callback, attempt, message, now=now)
        masked = () if message.verification_id is None else ("body", "word", "error_code")
        callback.save(update_fields=["attempt", "message", "state", "note", *masked])
    receipt_effects.note_applied(callback, message, before, now=now)
    return State(callback.state)


def match_parked(rows: Sequence[DeliveryAttempt | AttemptPart], *, now: datetime) -> None:
    """Apply the receipts that arrived before the provider ids of these attempts and parts were stored."""
    for callback_id in receipt_matching.parked_for(rows).values_list("pk", flat=True):
        apply(callback_id, now=now)


def sweep_parked(*, now: datetime) -> int:
    """Apply parked receipts whose attempt is known by now: a process may have died between its two steps.

    Returns how many were applied. Each is looked at a few times, at growing intervals: most that stay are not about ours.
    """
    due = receipt_matching.due(now=now, limit=SWEEP_LIMIT)
    states = [apply(callback.pk, now=now) for callback in receipt_matching.with_candidates(due)]
    for callback in due:
        callback.match_at = receipt_matching.next_look(callback, now=now)
    if due:
        save_together(due, ["match_at"])
    return sum(state != State.UNMATCHED for state in states)
