"""Stores long texts whose parts did not all arrive in time, with the parts that did."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from messaging.database_faults import may_pass
from messaging.models import InboundPart
from messaging.services.inbound import receive
from messaging.services.inbound.receive import InboundLimits
from messaging.services.recipients import phone_numbers

logger = logging.getLogger(__name__)

CHUNK = 200
RETRY_DELAY = timedelta(minutes=1)


def store_due(*, limits: InboundLimits, now: datetime) -> int:
    """Store the texts that have waited long enough, each in its own transaction; return how many."""
    texts = due(now).order_by("due_at").values_list("group", "from_number").distinct()
    return sum(_store_or_defer(group, sender, limits, now) for group, sender in texts[:CHUNK])


def due(now: datetime) -> QuerySet[InboundPart]:
    return InboundPart.objects.filter(message=None, due_at__lte=now)


def _store_or_defer(group: UUID, sender: str, limits: InboundLimits, now: datetime) -> bool:
    """Defer a text that cannot be stored, such as an unreadable one, so that it does not block the others."""
    try:
        return _store(group, sender, limits, now)
    except Exception as fault:
        if may_pass(fault):
            raise
        logger.error("the parts of text %s cannot be stored as a message: %s", group, type(fault).__name__)
        InboundPart.objects.filter(group=group, message=None).update(due_at=now + RETRY_DELAY)
        return False


def _store(group: UUID, sender: str, limits: InboundLimits, now: datetime) -> bool:
    with transaction.atomic():
        phone_numbers.lock(sender)
        waiting = InboundPart.objects.select_for_update(of=("self",)).filter(group=group, message=None)
        parts = list(waiting.select_related("provider"))
        if not parts:  # another worker has stored it
            return False
        receive.store_joined(parts, account=parts[0].provider, limits=limits, now=now)
    return True
