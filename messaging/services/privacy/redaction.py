"""Where else a person's number stands: in answers kept for a repeat, in callbacks without a message, in the audit log.

Each is gone through in chunks, from the oldest on; what is done is not found again, so a second call takes what a crash left.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model, Q, QuerySet

from messaging.models import IdempotencyRecord, ProviderCallback
from messaging.models.encrypted import fault_of
from messaging.services.transitions import save_together

logger = logging.getLogger(__name__)

CHUNK = 500
MAX_REPR = 200
LOGGED = ("object_id", "object_repr", "change_message")


def redact_references(number: str, pseudonym: str) -> None:
    """Nobody's key is lost by it: who repeats a request still gets its answer, without the person."""
    _of_answers(number, pseudonym)
    written = _written(number)
    for callbacks in _chunks(ProviderCallback.objects.filter(state__in=ProviderCallback.LOOSE)):
        about = [row.pk for row in _opened(callbacks, "body") if written.search(row.body)]
        ProviderCallback.objects.filter(pk__in=about).delete()
    digits = number.removeprefix("+")
    logged = Q(object_id__contains=digits) | Q(object_repr__contains=digits) | Q(change_message__contains=digits)
    for entries in _chunks(LogEntry.objects.filter(logged)):
        for entry in entries:
            entry.object_id = entry.object_id and written.sub(pseudonym, entry.object_id)
            entry.object_repr = written.sub(pseudonym, entry.object_repr)[:MAX_REPR]
            entry.change_message = written.sub(pseudonym, entry.change_message)
        save_together(entries, LOGGED)


def _written(number: str) -> re.Pattern[str]:
    """The number as providers and forms write it: with its plus, with that encoded, or without one. Not inside a longer one."""
    return re.compile(rf"(?:\+|%2B)?(?<!\d){number.removeprefix('+')}(?!\d)", re.IGNORECASE)


def _of_answers(number: str, pseudonym: str) -> None:
    for records in _chunks(IdempotencyRecord.objects.all()):
        changed = []
        for record in _opened(records, "response"):
            answer = json.loads(record.response) if number in record.response else None
            if isinstance(answer, dict) and number in {answer.get("to"), answer.get("from")}:
                record.response = json.dumps(_without(answer, number, pseudonym))
                changed.append(record)
        if changed:
            save_together(changed, ["response"])


def _without(answer: dict[str, Any], number: str, pseudonym: str) -> dict[str, Any]:
    sides = {side: pseudonym for side in ("to", "from") if answer.get(side) == number}
    return {**answer, **sides, "message": "", "media": []}


def _opened(rows: list[Any], column: str) -> list[Any]:
    """Those that can be opened. In the others nobody can look; they have their own end."""
    lost = [row for row in rows if fault_of(row, column)]
    if lost:
        logger.warning("%d rows of %s cannot be opened and were passed over", len(lost), type(lost[0]).__name__)
    return [row for row in rows if row not in lost]


def _chunks(queryset: QuerySet) -> Iterator[list[Model]]:
    rows = list(queryset.order_by("pk")[:CHUNK])
    while rows:
        yield rows
        rows = list(queryset.order_by("pk").filter(pk__gt=rows[-1].pk)[:CHUNK])
