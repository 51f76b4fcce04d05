"""Check a code, and end a verification without one."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from messaging import one_time_codes
from messaging.models import Verification
from messaging.models.verification import MAX_TRIES
from messaging.services.errors import VerificationEnded
from messaging.services.outbound.verification_codes import secrets
from messaging.services.verification import counts

Status = Verification.Status
_ENDED = ("status", "ended_at", "updated_at")


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """`is_valid` is True for exactly one check of a verification: the one that approves it."""

    verification: Verification
    is_valid: bool


def status_at(row: Verification, now: datetime) -> str:
    """The status, also if the sweep has not marked the row as expired yet."""
    return Status.EXPIRED if row.status == Status.PENDING and row.expires_at <= now else row.status


def check(*, verification_id: UUID, code: str, now: datetime) -> CodeCheck:
    """Count a try and compare. Raises `VerificationEnded` if the verification is approved already: a code is good for once.

    The row is locked, so that tries at the same time are counted one by one. All cases compute and compare the code.
    """
    with transaction.atomic():
        row = Verification.objects.select_for_update().get(pk=verification_id)
        is_right = _is_right(row, code)
        status = status_at(row, now)
        if status == Status.APPROVED:
            raise VerificationEnded("This verification is approved already. Begin a new one.")
        if status == Status.PENDING:
            row.tries += 1
            if is_right:
                status = Status.APPROVED
            elif row.tries >= MAX_TRIES:
                status = Status.MAX_ATTEMPTS_REACHED
        is_valid = status == Status.APPROVED
        if is_valid:
            counts.count_approved(row)
        _save(row, status, now)
    return CodeCheck(row, is_valid)


def _is_right(row: Verification, code: str) -> bool:
    """Only the key that made the code counts: each further one would give a guess another chance."""
    secret = one_time_codes.secret_of(row.key_id, secrets())
    expected = one_time_codes.code_of(
        secret or "", verification_id=row.pk, nonce=bytes(row.nonce), length=row.code_length
    )
    return hmac.compare_digest(expected.encode(), code.encode()) and secret is not None


def cancel(*, verification_id: UUID, now: datetime) -> Verification:
    """End a pending verification. Its code is not sent any more, and no check approves it."""
    return _end(verification_id, Status.CANCELED, now)


def approve(*, verification_id: UUID, now: datetime) -> Verification:
    """End a pending verification as approved, because the client knows by other means that the number is right."""
    return _end(verification_id, Status.APPROVED, now)


def _end(verification_id: UUID, target: str, now: datetime) -> Verification:
    """Raises `VerificationEnded` unless it is pending."""
    with transaction.atomic():
        row = Verification.objects.select_for_update().get(pk=verification_id)
        status = status_at(row, now)
        if status != Status.PENDING:
            raise VerificationEnded(f"This verification is {status}; only a pending one can be ended.")
        if target == Status.APPROVED:
            counts.count_approved(row)
        _save(row, target, now)
    return row


def _save(row: Verification, status: str, now: datetime) -> None:
    if row.status != status:
        row.status, row.ended_at = status, now
    row.updated_at = now
    row.save(update_fields=[*_ENDED, "tries", "provider_slug"])
