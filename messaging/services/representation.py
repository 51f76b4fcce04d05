"""How a message is shown: to its owner the same by the API, in a callback and in a live stream; to others without its text."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User

from messaging import states
from messaging.models import Message
from messaging.models.encrypted import fault_of

READ_TEXTS = "messaging.view_text"
HIDDEN = "••••••"


def may_read_texts(reader: User, owner_id: int | None) -> bool:
    """Everybody reads their own; what belongs to others, or to nobody, is for whoever has the permission."""
    return owner_id == reader.pk or reader.has_perm(READ_TEXTS)


def serialize_message_for(reader: User, message: Message, *, error: dict[str, str] | None = None) -> dict[str, Any]:
    """As somebody is shown it who may see the row, but perhaps not its text. Raises `CannotBeOpened`.

    `error` stands in the place of what is stored: what a message waits for is known only when it is read
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
    """As its owner is shown it. Raises `CannotBeOpened`."""
    return _serialize(message, message.text if readable else HIDDEN, error)


def serialize_message_lenient(
    message: Message, *, readable: bool = True, error: dict[str, str] | None = None
) -> dict[str, Any]:
    """The same where one text that cannot be opened must not keep all else back: it is empty, like one that was erased."""
    if not readable:
        return _serialize(message, HIDDEN, error)
    return _serialize(message, "" if fault_of(message, "text") else message.text, error)


def _serialize(message: Message, text: str, error: dict[str, str] | None) -> dict[str, Any]:
    body = {
        "id": str(message.pk),
        "direction": message.direction,
        "from": message.from_number or None,
        "to": message.to_number,
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
        "media": media_ids(message),
        "send_at": isoformat_utc(message.send_at),
        "created_at": isoformat_utc(message.created_at),
        "sent_at": isoformat_utc(message.sent_at),
        "delivered_at": isoformat_utc(message.delivered_at),
        "updated_at": isoformat_utc(message.updated_at),
    }
    if message.direction == states.Direction.INBOUND:
        body["received_at"] = isoformat_utc(message.received_at)
    return body


def media_ids(message: Message) -> list[str]:
    """The assets in their order; no query for a message that has none. Lists prefetch `attachments`."""
    if not message.media_count:
        return []
    return [str(file.asset_id) for file in message.attachments.all() if file.asset_id]


def serialize_error(code: str, detail: str) -> dict[str, str] | None:
    return {"code": code, "detail": detail} if code else None


def isoformat_utc(value: datetime | None) -> str | None:
    """UTC in ISO 8601 with `Z`."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
