"""Recipients' numbers: locks, and whether a number is active."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Case, CharField, Value, When

from messaging.models import PhoneNumber

Status = PhoneNumber.Status


def lock(number: str) -> None:
    """Lock the number's row, created if missing, until the caller's transaction ends."""
    PhoneNumber.objects.bulk_create([PhoneNumber(number=number)], ignore_conflicts=True)
    PhoneNumber.objects.select_for_update().get(pk=number)


def mark_inactive(reasons: Mapping[str, str], *, now: datetime) -> None:
    """Deactivate numbers (number → reason). A number that is already inactive keeps its reason."""
    if not reasons:
        return
    PhoneNumber.objects.bulk_create(
        [
            PhoneNumber(number=number, status=Status.INACTIVE, reason=reason[:200], changed_at=now)
            for number, reason in sorted(reasons.items())  # sorted, so that two calls cannot deadlock
        ],
        ignore_conflicts=True,
    )
    by_number = [When(number=number, then=Value(reason[:200])) for number, reason in reasons.items()]
    PhoneNumber.objects.filter(number__in=reasons, status=Status.ACTIVE).update(
        status=Status.INACTIVE, reason=Case(*by_number, output_field=CharField()), changed_at=now
    )


def set_status(*, number: str, status: str, reason: str, now: datetime) -> PhoneNumber:
    """Set the status on an operator's request. Raises `PhoneNumber.DoesNotExist`."""
    with transaction.atomic():
        row = PhoneNumber.objects.select_for_update().get(pk=number)
        row.status, row.reason, row.changed_at = status, reason[:200], now
        row.save(update_fields=["status", "reason", "changed_at"])
    return row
