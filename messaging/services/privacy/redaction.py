"""Redacts a phone number outside the messages table: idempotency records, unmatched callbacks, alerts, audit log.

Each table is processed in chunks, oldest first. Redacted rows are not found again, so another call completes what a crash left.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast

from messaging.models import AlertChannel, AlertNotice, AlertReceiver, IdempotencyRecord, ProviderCallback
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
    pattern = pattern_of(number)
    for callbacks in chunks(ProviderCallback.objects.filter(state__in=ProviderCallback.LOOSE)):
        about = [row.pk for row in readable(callbacks, "body") if pattern.search(row.body)]
        ProviderCallback.objects.filter(pk__in=about).delete()
    _remove_recipient(AlertReceiver.objects.all(), number)
    _remove_recipient(AlertChannel.objects.all(), number)
    _redact_held_alerts(pattern, pseudonym)
    for entries in chunks(log_entries(number)):
        for entry in entries:
            entry.object_id = entry.object_id and pattern.sub(pseudonym, entry.object_id)
            entry.object_repr = pattern.sub(pseudonym, entry.object_repr)[:MAX_REPR]
            entry.change_message = pattern.sub(pseudonym, entry.change_message)
        save_together(entries, LOGGED)


def log_entries(number: str) -> QuerySet[LogEntry]:
    """Entries that may mention the number: its digits may be part of a longer one."""
    digits = number.removeprefix("+")
    return LogEntry.objects.filter(
        Q(object_id__contains=digits) | Q(object_repr__contains=digits) | Q(change_message__contains=digits)
    )


def pattern_of(number: str) -> re.Pattern[str]:
    """Match the number with a plus, a percent-encoded plus or no plus, but not inside a longer number."""
    return re.compile(rf"(?:\+|%2B)?(?<!\d){re.escape(number.removeprefix('+'))}(?!\d)", re.IGNORECASE)


def with_recipient(table: QuerySet[Any], number: str) -> QuerySet[Any]:
    found: QuerySet[Any] = table.annotate(stored=Cast("recipients", TextField())).filter(stored__contains=number)
    return found


def _remove_recipient(table: "QuerySet[AlertReceiver] | QuerySet[AlertChannel]", number: str) -> None:
    for rows in chunks(with_recipient(table, number)):
        with transaction.atomic():
            current: list[AlertReceiver | AlertChannel] = list(
                table.filter(pk__in=[row.pk for row in rows]).select_for_update(of=("self",))
            )
            for row in current:
                row.recipients = [each for each in row.recipients if each != number]
            save_together(current, ["recipients"])


def _redact_held_alerts(pattern: re.Pattern[str], pseudonym: str) -> None:
    """The names of alerts that wait for their digest may have been made of anything."""
    for notices in chunks(AlertNotice.objects.filter(is_held=True)):
        about = [row for row in readable(notices, "counts") if any(pattern.search(name) for name in row.counts)]
        for notice in about:
            notice.counts = {pattern.sub(pseudonym, name): count for name, count in notice.counts.items()}
        if about:
            save_together(about, ["counts"])


def response_about(record: IdempotencyRecord, number: str) -> dict[str, Any] | None:
    """The stored response if it is a message to or from the number."""
    response = json.loads(record.response) if number in record.response else None
    is_about = isinstance(response, dict) and number in {response.get("to"), response.get("from")}
    return response if is_about else None


def _redact_responses(number: str, pseudonym: str) -> None:
    for records in chunks(IdempotencyRecord.objects.all()):
        changed = []
        for record in readable(records, "response"):
            response = response_about(record, number)
            if response is not None:
                record.response = json.dumps(_redacted(response, number, pseudonym))
                changed.append(record)
        if changed:
            save_together(changed, ["response"])


def _redacted(response: dict[str, Any], number: str, pseudonym: str) -> dict[str, Any]:
    sides = {side: pseudonym for side in ("to", "from") if response.get(side) == number}
    words: dict[str, Any] = {"message": "", "parameters": None, "media": []}  # a verification has none
    return {**response, **sides, **{name: empty for name, empty in words.items() if name in response}}


def readable(rows: list[M], column: str) -> list[M]:
    """Skip rows that cannot be decrypted: without the key they reveal nothing, and retention deletes them."""
    lost = [row for row in rows if fault_of(row, column)]
    if lost:
        logger.warning("skipped %d rows of %s that cannot be decrypted", len(lost), type(lost[0]).__name__)
    return [row for row in rows if row not in lost]


def chunks(queryset: QuerySet[M]) -> Iterator[list[M]]:
    rows = list(queryset.order_by("pk")[:CHUNK])
    while rows:
        yield rows
        rows = list(queryset.order_by("pk").filter(pk__gt=rows[-1].pk)[:CHUNK])
