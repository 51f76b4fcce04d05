"""Marks `sent` messages whose receipt did not come in time. They stay `sent`; a late receipt removes the mark."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from messaging.models import Message
from messaging.services.outbound.receipt_results import RECEIPT_MISSING
from messaging.states import Status
from providers import registry
from providers.models import ProviderAccount

CHUNK = 500
MAX_CHUNKS = 20


def mark(*, now: datetime) -> int:
    """Mark the messages of accounts with callbacks, at most `MAX_CHUNKS` chunks of each; return how many. Safe to repeat."""
    hours = settings.RECEIPT_TIMEOUT_HOURS
    if not hours:
        return 0
    accounts = [each.pk for each in ProviderAccount.objects.all() if registry.capabilities_of(each).callbacks]
    return sum(_mark_account(slug, hours, now) for slug in accounts)


def _mark_account(slug: str, hours: int, now: datetime) -> int:
    total = 0
    for _ in range(MAX_CHUNKS):
        marked = _mark_chunk(slug, hours, now)
        total += marked
        if marked < CHUNK:
            break
    return total


def _mark_chunk(slug: str, hours: int, now: datetime) -> int:
    late = Message.objects.filter(
        status=Status.SENT, error_code="", provider=slug, sent_at__lte=now - timedelta(hours=hours)
    )
    with transaction.atomic():
        rows = late.order_by("sent_at").select_for_update(skip_locked=True).values_list("pk", flat=True)[:CHUNK]
        return Message.objects.filter(pk__in=list(rows)).update(
            error_code=RECEIPT_MISSING,
            error_detail=f"{slug} has sent no final receipt within {hours} hours.",
            updated_at=now,
        )
