"""Redacts a phone number outside the messages table: idempotency records, unmatched callbacks, audit log.

Each table is processed in chunks, oldest first. Redacted rows are not found again, so another call completes what a crash left.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from django.contrib.admin.models import LogEntry
from django.db.models import Model, Q, QuerySet

from messaging.models import IdempotencyRecord, ProviderCallback
from messaging.models.encrypted import fault_of
from messaging.services.transitions import save_together

logger = logging.getLogger(__name__)

CHUNK = 500
MAX_REPR = 200
LOGGED = ("object_id", "object_repr", "change_message")

M = TypeVar("M", bound=Model)


def redact_references(number: str, pseudonym: str) -> None:
    """Replace or delete every mention. Idempotency keys stay valid: a repeated request gets its stored response, redacted."""
    _redact_responses(number, pseudonym)
    pattern = _pattern(number)
    for callbacks in _chunks(ProviderCallback.objects.filter(state__in=ProviderCallback.LOOSE)):
        about = [row.pk for row in _readable(callbacks, "body") if pattern.search(row.body)]
        ProviderCallback.objects.filter(pk__in=about).delete()
    digits = number.removeprefix("+")
    logged = Q(object_id__contains=digits) | Q(object_repr__contains=digits) | Q(change_message__contains=digits)
    for entries in _chunks(LogEntry.objects.filter(logged)):
        for entry in entries:
            entry.object_id = entry.object_id and pattern.sub(pseudonym, entry.object_id)
            entry.object_repr = pattern.sub(pseudonym, entry.object_repr)[:MAX_REPR]
            entry.change_message = pattern.sub(pseudonym, entry.change_message)
        save_together(entries, LOGGED)


def _pattern(number: str) -> re.Pattern[str]:
    """Match the number with a plus, a percent-encoded plus or no plus, but not inside a longer number."""
    return re.compile(rf"(?:\+|%2B)?(?<!\d){re.escape(number.removeprefix('+'))}(?!\d)", re.IGNORECASE)


def _redact_responses(number: str, pseudonym: str) -> None:
    for records in _chunks(IdempotencyRecord.objects.all()):
        changed = []
        for record in _readable(records, "response"):
            response = json.loads(record.response) if number in record.response else None
            if isinstance(response, dict) and number in {response.get("to"), response.get("from")}:
                record.response = json.dumps(_redacted(response, number, pseudonym))
                changed.append(record)
        if changed:
            save_together(changed, ["response"])


def _redacted(response: dict[str, Any], number: str, pseudonym: str) -> dict[str, Any]:
    sides = {side: pseudonym for side in ("to", "from") if response.get(side) == number}
    return {**response, **sides, "message": "", "media": []}


def _readable(rows: list[M], column: str) -> list[M]:
    """Skip rows that cannot be decrypted: without the key they reveal nothing, and retention deletes them."""
    lost = [row for row in rows if fault_of(row, column)]
    if lost:
        logger.warning("skipped %d rows of %s that cannot be decrypted", len(lost), type(lost[0]).__name__)
    return [row for row in rows if row not in lost]


def _chunks(queryset: QuerySet[M]) -> Iterator[list[M]]:
    rows = list(queryset.order_by("pk")[:CHUNK])
    while rows:
        yield rows
        rows = list(queryset.order_by("pk").filter(pk__gt=rows[-1].pk)[:CHUNK])
