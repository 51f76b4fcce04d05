"""The regular work on verifications. Every step is safe to repeat, and two workers at once do it once."""

from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from messaging.models import Verification, VerificationCount, VerificationLimit
from messaging.services.transitions import save_together
from messaging.services.verification import counts
from messaging.services.verification.limits import PERIOD

CHUNK = 500
MAX_CHUNKS = 20
# Longer than a code can be on its way: its text ends with it, after at most 15 minutes.
ATTRIBUTED_WITHIN = timedelta(hours=1)
COUNTS_KEPT = timedelta(days=90)

Status = Verification.Status


def expire(*, now: datetime) -> int:
    """Mark the pending ones whose time is over. Nothing depends on it: checks and sends look at the time themselves."""
    total = 0
    for _ in range(MAX_CHUNKS):
        with transaction.atomic():
            due = Verification.objects.filter(status=Status.PENDING, expires_at__lte=now).order_by("expires_at")
            ids = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:CHUNK])
            Verification.objects.filter(pk__in=ids).update(status=Status.EXPIRED, ended_at=now, updated_at=now)
        total += len(ids)
        if len(ids) < CHUNK:
            break
    return total


def attribute(*, now: datetime) -> int:
    """Count the verifications whose code has been sent by now at the account that sent it."""
    total, last = 0, now - ATTRIBUTED_WITHIN
    for _ in range(MAX_CHUNKS):
        with transaction.atomic():
            rows = list(
                Verification.objects.filter(provider_slug="", created_at__gt=last)
                .defer("text")
                .order_by("created_at")
                .select_for_update(skip_locked=True)[:CHUNK]
            )
            found = counts.carriers(rows)
            sent = [row for row in rows if row.pk in found]
            for row in sent:
                row.provider_slug = found[row.pk]
            if sent:
                save_together(sent, ["provider_slug"])
                counts.move(Counter((counts.hour_of(row), row.prefix, row.provider_slug) for row in sent))
        total += len(sent)
        if len(rows) < CHUNK:
            break
        last = rows[-1].created_at
    return total


def purge(*, now: datetime) -> None:
    """Delete old verifications, old counts, and limits that are over."""
    old = Verification.objects.filter(created_at__lt=now - timedelta(days=settings.VERIFY_RETENTION_DAYS))
    while ids := list(old.exclude(status=Status.PENDING).values_list("pk", flat=True)[:CHUNK]):
        Verification.objects.filter(pk__in=ids).delete()
    while _purge_limits(now) == CHUNK:
        pass
    VerificationCount.objects.filter(hour__lt=now - COUNTS_KEPT).delete()


def _purge_limits(now: datetime) -> int:
    """Rows that a request has locked are skipped: to wait for one while holding others could be a deadlock."""
    with transaction.atomic():
        over = VerificationLimit.objects.filter(started_at__lte=now - PERIOD).order_by("started_at")
        keys = list(over.select_for_update(skip_locked=True).values_list("pk", flat=True)[:CHUNK])
        VerificationLimit.objects.filter(pk__in=keys).delete()
    return len(keys)
