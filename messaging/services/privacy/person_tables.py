"""The rows of a person in the tables beside the messages, as `export` shows them.

Each section reads what `erasure` and `redaction` erase, in chunks.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from django.db.models import Q, QuerySet

from messaging.models import (
    AlertChannel,
    AlertNotice,
    AlertReceiver,
    GatewayPart,
    GatewayReceipt,
    GatewayText,
    IdempotencyRecord,
    InboundPart,
    OptOutCase,
    PhoneNumber,
    ProviderCallback,
    Suppression,
    Verification,
)
from messaging.models.encrypted import fault_of
from messaging.services.privacy import erasure, redaction
from messaging.services.privacy.callback_fields import callback_fields
from messaging.services.representation import isoformat_utc

Row: TypeAlias = dict[str, Any]
Section: TypeAlias = Callable[[str], Iterator[Row]]


def phone_numbers(number: str) -> Iterator[Row]:
    for row in PhoneNumber.objects.filter(pk=number):
        yield {
            "number": row.number,
            "status": row.status,
            "reason": row.reason or None,
            "changed_at": isoformat_utc(row.changed_at),
            "auto_replied_at": isoformat_utc(row.auto_replied_at),
            "created_at": isoformat_utc(row.created_at),
        }


def suppressions(number: str) -> Iterator[Row]:
    for row in _all(Suppression.objects.filter(number=number)):
        yield {
            "id": str(row.pk),
            "sender": row.sender or None,
            "source": row.origin,
            "reason": row.reason or None,
            "note": row.note or None,
            "requested_at": isoformat_utc(row.requested_at),
            "created_at": isoformat_utc(row.created_at),
        }


def opt_out_cases(number: str) -> Iterator[Row]:
    for row in _all(OptOutCase.objects.filter(number=number)):
        yield {
            "id": str(row.pk),
            "sender": row.sender or None,
            "message_id": str(row.message_id) if row.message_id else None,
            "message": _opened(row, "text"),
            "status": str(row.decision) or "open",
            "opened_at": isoformat_utc(row.opened_at),
            "due_at": isoformat_utc(row.due_at),
            "decided_at": isoformat_utc(row.decided_at),
            "note": row.note or None,
        }


def verifications(number: str) -> Iterator[Row]:
    """The codes are stored nowhere: a text has masks in their place."""
    for row in _all(Verification.objects.filter(to_number=number)):
        yield {
            "id": str(row.pk),
            "status": str(row.status),
            "message": _opened(row, "text"),
            "sender": row.sender or None,
            "sends": row.sends,
            "tries": row.tries,
            "created_at": isoformat_utc(row.created_at),
            "expires_at": isoformat_utc(row.expires_at),
            "ended_at": isoformat_utc(row.ended_at),
        }


def inbound_parts(number: str) -> Iterator[Row]:
    """Parts of texts from the person; and those that name the number as recipient and never became a text."""
    for row in _all(InboundPart.objects.filter(Q(from_number=number) | Q(to_number=number, message=None))):
        yield {
            "id": str(row.pk),
            "from": row.from_number,
            "to": row.to_number or None,
            "part": row.number,
            "parts": row.count,
            "message": _opened(row, "text"),
            "unabridged": _opened(row, "unabridged"),
            "media_urls": row.media_urls,
            "message_id": str(row.message_id) if row.message_id else None,
            "received_at": isoformat_utc(row.received_at),
        }


def gateway_parts(number: str) -> Iterator[Row]:
    for row in _all(GatewayPart.objects.filter(to_number=number)):
        yield {
            "id": str(row.pk),
            "from": row.from_number or None,
            "part": row.number,
            "parts": row.count,
            "octets": _opened(row, "octets"),
            "received_at": isoformat_utc(row.received_at),
        }


def gateway_receipts(number: str) -> Iterator[Row]:
    of_message = Q(message__in=_messages(number))
    of_part = Q(pk__in=GatewayPart.objects.filter(to_number=number).values("pk"))
    loose = Q(message=None, destination__in=[number, number.removeprefix("+")])
    for row in _all(GatewayReceipt.objects.filter(of_message | of_part | loose)):
        yield {
            "id": str(row.pk),
            "message_id": str(row.message_id) if row.message_id else None,
            "source": row.source or None,
            "destination": row.destination,
            "state": row.state,
            "submitted_at": isoformat_utc(row.submitted_at),
            "done_at": isoformat_utc(row.done_at),
        }


def gateway_texts(number: str) -> Iterator[Row]:
    for row in _all(GatewayText.objects.filter(message__in=_messages(number))):
        yield {"message_id": str(row.message_id), "state": row.state, "created_at": isoformat_utc(row.created_at)}


def provider_callbacks(number: str) -> Iterator[Row]:
    """Those that belong to no message. Those of a message stand with it."""
    pattern = redaction.pattern_of(number)
    for rows in redaction.chunks(ProviderCallback.objects.filter(state__in=ProviderCallback.LOOSE)):
        for row in redaction.readable(rows, "body"):
            if pattern.search(row.body):
                yield callback(row)


def callback(row: ProviderCallback) -> Row:
    """`fields` are null where a callback cannot be read, or may be about several people; secrets are masked."""
    return {
        "id": str(row.pk),
        "provider": row.provider_id,
        "kind": row.kind,
        "state": row.state,
        "status": row.word or None,
        "error": row.error_code or None,
        "note": row.note or None,
        "fields": None if fault_of(row, "body") else _fields(row.body),
        "received_at": isoformat_utc(row.received_at),
    }


def stored_responses(number: str) -> Iterator[Row]:
    for rows in redaction.chunks(IdempotencyRecord.objects.all()):
        for row in redaction.readable(rows, "response"):
            response = redaction.response_about(row, number)
            if response is not None:
                yield {"created_at": isoformat_utc(row.created_at), "response": response}


def alert_receivers(number: str) -> Iterator[Row]:
    """Whether alerts are sent to the number: by a named receiver, or as a request asked."""
    tables: tuple[QuerySet[Any], ...] = (AlertReceiver.objects.all(), AlertChannel.objects.all())
    for table in tables:
        for row in redaction.with_recipient(table, number):
            yield {"name": row.name if isinstance(row, AlertReceiver) else None}


def held_alerts(number: str) -> Iterator[Row]:
    pattern = redaction.pattern_of(number)
    for rows in redaction.chunks(AlertNotice.objects.filter(is_held=True)):
        for row in redaction.readable(rows, "counts"):
            names = [name for name in row.counts if pattern.search(name)]
            if names:
                yield {"names": names, "received_at": isoformat_utc(row.received_at)}


def erasures(number: str) -> Iterator[Row]:
    for row in erasure.proofs(number).order_by("pk"):
        yield {"at": isoformat_utc(row.at), "pseudonym": row.pseudonym, "messages": row.messages}


def audit_log(number: str) -> Iterator[Row]:
    """What staff did, without their names."""
    pattern = redaction.pattern_of(number)
    for rows in redaction.chunks(redaction.log_entries(number)):
        for row in rows:
            shown = (row.object_id or "", row.object_repr, row.change_message)
            if any(map(pattern.search, shown)):
                yield {"at": isoformat_utc(row.action_time), "object": row.object_repr, "change": row.change_message}


SECTIONS: Mapping[str, Section] = {
    "suppressions": suppressions,
    "opt_out_cases": opt_out_cases,
    "verifications": verifications,
    "inbound_parts": inbound_parts,
    "gateway_parts": gateway_parts,
    "gateway_receipts": gateway_receipts,
    "gateway_texts": gateway_texts,
    "provider_callbacks": provider_callbacks,
    "stored_responses": stored_responses,
    "alert_receivers": alert_receivers,
    "held_alerts": held_alerts,
    "erasures": erasures,
    "audit_log": audit_log,
}


def _all(rows: QuerySet[Any]) -> Iterator[Any]:
    for chunk in redaction.chunks(rows):
        yield from chunk


def _messages(number: str) -> QuerySet[Any]:
    return erasure.messages_of(number).values("pk")


def _opened(row: Any, column: str) -> Any:
    """None for what cannot be decrypted with the present keys."""
    return None if fault_of(row, column) else getattr(row, column)


def _fields(body: str) -> dict[str, str] | None:
    try:
        is_of_one = not _has_several(json.loads(body))
    except ValueError:
        is_of_one = True  # a form
    fields = callback_fields(body, readable=True) if is_of_one else None
    return None if fields is None else dict(fields)


def _has_several(content: Any) -> bool:
    """Whether a list with several objects is anywhere in it: each may be about another person."""
    if isinstance(content, dict):
        return any(map(_has_several, content.values()))
    if isinstance(content, list):
        return sum(isinstance(each, dict) for each in content) > 1 or any(map(_has_several, content))
    return False
