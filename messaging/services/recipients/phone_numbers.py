"""Which numbers can be reached."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Case, CharField, Value, When

from messaging.models import PhoneNumber

Status = PhoneNumber.Status


def hold(number: str) -> None:
    """Lock the number's row, made if it is not there: who else asks waits until the caller's transaction ends."""
    PhoneNumber.objects.bulk_create([PhoneNumber(number=number)], ignore_conflicts=True)
    PhoneNumber.objects.select_for_update().get(pk=number)


def mark_inactive(reasons: Mapping[str, str], *, now: datetime) -> None:
    """Make these numbers inactive (number → reason); a number that is inactive already keeps its first reason."""
    if not reasons:
        return
    PhoneNumber.objects.bulk_create(
        [
            PhoneNumber(number=number, status=Status.INACTIVE, reason=reason[:200], changed_at=now)
            for number, reason in sorted(reasons.items())  # in one order for everybody: no two wait for each other
        ],
        ignore_conflicts=True,
    )
    by_number = [When(number=number, then=Value(reason[:200])) for number, reason in reasons.items()]
    PhoneNumber.objects.filter(number__in=reasons, status=Status.ACTIVE).update(
        status=Status.INACTIVE, reason=Case(*by_number, output_field=CharField()), changed_at=now
    )


def set_status(*, number: str, status: str, reason: str, now: datetime) -> PhoneNumber:
    """What an operator decides. Raises `PhoneNumber.DoesNotExist`."""
    with transaction.atomic():
        row = PhoneNumber.objects.select_for_update().get(pk=number)
        row.status, row.reason, row.changed_at = status, reason[:200], now
        row.save(update_fields=["status", "reason", "changed_at"])
    return row
