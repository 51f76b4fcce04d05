"""Messages and media as Twilio's API shows them: every key always."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from media_store.models import MediaAsset
from messaging import twilio_codes, twilio_ids
from messaging.models import Message
from messaging.models.encrypted import fault_of
from messaging.states import Direction
from messaging.twilio_api.base import VERSION, account_path, rfc_2822


def represent(message: Message, *, account: str, sid: str = "", by_service: bool = False) -> dict[str, Any]:
    """Raises `CannotBeOpened`.

    `sid` is the one by which the client asked: it stays the same when media are added or deleted. `by_service` says that the
    client named a messaging service in this request.
    """
    return _represent(message, message.text, account, sid, by_service)


def represent_lenient(message: Message, *, account: str) -> dict[str, Any]:
    """For lists: an unreadable text becomes empty, so that it does not fail the other messages."""
    return _represent(message, "" if fault_of(message, "text") else message.text, account, "", False)


def _represent(message: Message, text: str, account: str, sid: str, by_service: bool) -> dict[str, Any]:
    sid = sid or twilio_ids.message_sid(message)
    path = f"{account_path(account)}/Messages/{sid}"
    is_inbound = message.direction == Direction.INBOUND
    queue = message.queue_id
    code = twilio_codes.message_error(message.status, message.error_code)
    return {
        "account_sid": account,
        "api_version": VERSION,
        "body": text,
        "date_created": rfc_2822(message.created_at),
        "date_sent": rfc_2822(message.created_at if is_inbound else message.sent_at),
        "date_updated": rfc_2822(message.updated_at),
        "direction": _direction(message),
        "error_code": code,
        "error_message": None if code is None else message.error_detail or message.error_code,
        "from": message.from_number or None,
        "messaging_service_sid": twilio_ids.service_sid(queue)
        if queue and (by_service or queue != settings.DEFAULT_QUEUE)
        else None,
        "num_media": str(_media_kept(message)),
        "num_segments": str(message.segments),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": twilio_ids.twilio_status(message),
        "subresource_uris": {"feedback": f"{path}/Feedback.json", "media": f"{path}/Media.json"},
        "to": message.to_number or None,
        "uri": f"{path}.json",
    }


def _media_kept(message: Message) -> int:
    """Without files that are not kept, or not yet: Twilio's API has no form for them. Lists prefetch `attachments`."""
    if message.direction == Direction.OUTBOUND or not message.media_count:
        return message.media_count
    return sum(file.asset_id is not None for file in message.attachments.all())


def _direction(message: Message) -> str:
    if message.direction == Direction.INBOUND:
        return "inbound"
    return "outbound-reply" if message.is_automatic else "outbound-api"


def message_of(response: dict[str, Any]) -> Message:
    """The message as a stored response of `accept` shows it, for the repeat of a request."""
    return Message(
        id=UUID(response["id"]),
        direction=response["direction"],
        status=response["status"],
        queue_id=response["queue"],
        from_number=response["from"] or "",
        to_number=response["to"] or "",
        text=response["message"],
        segments=response["segments"],
        media_count=len(response["media"]),
        created_at=_time(response["created_at"]),
        updated_at=_time(response["updated_at"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def represent_media(asset: MediaAsset, *, account: str, message_sid: str) -> dict[str, Any]:
    sid = twilio_ids.media_sid(asset.pk)
    return {
        "account_sid": account,
        "content_type": asset.content_type,
        "date_created": rfc_2822(asset.created_at),
        "date_updated": rfc_2822(asset.created_at),
        "parent_sid": message_sid,
        "sid": sid,
        "uri": f"{account_path(account)}/Messages/{message_sid}/Media/{sid}.json",
    }
