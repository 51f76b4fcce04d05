"""Serializes messages: identically for the API, callbacks and live streams; without the text for readers who may not see it."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User

from messaging import states
from messaging.file_errors import code_and_detail
from messaging.models import Attachment, Message
from messaging.models.encrypted import fault_of

READ_TEXTS = "messaging.view_text"
HIDDEN = "••••••"


def may_read_texts(reader: User, owner_id: int | None) -> bool:
    """True for the owner's own messages; all others need the permission."""
    return owner_id == reader.pk or reader.has_perm(READ_TEXTS)


def serialize_message_for(reader: User, message: Message, *, error: dict[str, str] | None = None) -> dict[str, Any]:
    """Serialize for a reader who may see the message, but not always its text. Raises `CannotBeOpened`.

    `error` replaces the stored error: what a message waits for is computed on reading
    (`messaging.services.outbound.waiting`).
    """
    return serialize_message(message, readable=may_read_texts(reader, message.owner_id), error=error)


def serialize_message_lenient_for(
    reader: User, message: Message, *, error: dict[str, str] | None = None
) -> dict[str, Any]:
    return serialize_message_lenient(message, readable=may_read_texts(reader, message.owner_id), error=error)


def serialize_message(
    message: Message, *, readable: bool = True, error: dict[str, str] | None = None
) -> dict[str, Any]:
    """Serialize a message, with `HIDDEN` as its text unless `readable`. Raises `CannotBeOpened`."""
    return _serialize(message, message.text if readable else HIDDEN, error)


def serialize_message_lenient(
    message: Message, *, readable: bool = True, error: dict[str, str] | None = None
) -> dict[str, Any]:
    """As `serialize_message`, for lists: an unreadable text becomes empty, so that it does not fail the other messages."""
    if not readable:
        return _serialize(message, HIDDEN, error)
    return _serialize(message, "" if fault_of(message, "text") else message.text, error)


def _serialize(message: Message, text: str, error: dict[str, str] | None) -> dict[str, Any]:
    body = {
        "id": str(message.pk),
        "direction": message.direction,
        "from": message.from_number or None,
        "to": message.to_number or None,
        "message": text,
        "status": str(message.status),
        "queue": message.queue_id,
        "encoding": str(message.encoding),
        "segments": message.segments,
        "reference": message.reference or None,
        "provider": message.provider_id,
        "provider_message_id": message.provider_message_id or None,
        "attempts": message.attempts,
        "error": error or serialize_error(message.error_code, message.error_detail),
        "schedule": str(message.schedule_id) if message.schedule_id else None,
        "category": str(message.category) if message.direction == states.Direction.OUTBOUND else None,
        "parameters": message.parameters,
        "template": str(message.template_id) if message.template_id else None,
        "template_version": message.template_version,
        "media": serialize_media(message),
        "send_at": isoformat_utc(message.send_at),
        "created_at": isoformat_utc(message.created_at),
        "sent_at": isoformat_utc(message.sent_at),
        "delivered_at": isoformat_utc(message.delivered_at),
        "updated_at": isoformat_utc(message.updated_at),
    }
    if message.direction == states.Direction.INBOUND:
        body["received_at"] = isoformat_utc(message.received_at)
    return body


def serialize_media(message: Message) -> list[str | dict[str, str]]:
    """For each file its asset's id, or why it is not kept; a file that is still being fetched is left out.

    No query for a message without media. Lists prefetch `attachments`.
    """
    if not message.media_count:
        return []
    return [_file(file) for file in message.attachments.all() if file.asset_id or file.next_attempt_at is None]


def _file(file: Attachment) -> str | dict[str, str]:
    if file.asset_id:
        return str(file.asset_id)
    code, detail = code_and_detail(file.error_code, file.error)
    return {"error": code, "detail": detail}


def serialize_error(code: str, detail: str) -> dict[str, str] | None:
    return {"code": code, "detail": detail} if code else None


def isoformat_utc(value: datetime | None) -> str | None:
    """Format as ISO 8601 in UTC, with `Z`."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
