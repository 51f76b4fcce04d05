"""Client events: recorded with each status change, and serialized later as the message was at that time."""

from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from uuid_utils.compat import uuid7

from messaging.event_types import OF_STATUS, EventType
from messaging.models import ClientEvent, Message
from messaging.services import statements
from messaging.services.representation import isoformat_utc, serialize_message
from messaging.services.statements import Statement
from messaging.states import Status

# The fields of a message that change and that its owner sees. A snapshot leaves out empty values.
VALUE_FIELDS = ("status", "from_number", "provider_id", "provider_message_id", "attempts", "error_code", "error_detail")
TIME_FIELDS = ("sent_at", "delivered_at")
COLUMNS = ("public_id", "owner", "type", "at", "message_id", "has_callback_url", "snapshot")
DEFAULTS: dict[str, Any] = {"attempts": 0, "provider_id": None}


def recorded(messages: Iterable[Message], *, at: datetime) -> list[Statement]:
    """Return the INSERT of the events of these messages' new statuses, if any, for the transaction of the change."""
    rows = [
        (
            uuid7(),
            message.owner_id,
            OF_STATUS[Status(message.status)],
            at,
            message.pk,
            bool(message.callback_url),
            _snapshot(message),
        )
        for message in messages
        if message.owner_id is not None and message.status in OF_STATUS
    ]
    return [statements.insert(ClientEvent, COLUMNS, rows)] if rows else []


def record_data(*, owner_id: int, event_type: EventType, data: dict[str, Any], at: datetime) -> None:
    """Record an event that is not about a message; `data` is what its owner sees."""
    ClientEvent.objects.create(owner_id=owner_id, type=event_type, at=at, snapshot={"data": data})


def body(
    event: ClientEvent, message: Message | None, *, show: Callable[[Message], dict[str, Any]] = serialize_message
) -> dict[str, Any] | None:
    """Serialize the event for its owner; None if its message has been erased. The caller fetches it by `message_id`.

    Raises what `show` raises, by default `CannotBeOpened`.
    """
    data = event.snapshot.get("data") if event.message_id is None else None
    if message is not None:
        data = show(as_of(message, event))
    if data is None:
        return None
    return {"type": event.type, "timestamp": isoformat_utc(event.at), "sequence": event.sequence, "data": data}


def _snapshot(message: Message) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in VALUE_FIELDS}
    times = {name: isoformat_utc(getattr(message, name)) for name in TIME_FIELDS}
    return {name: value for name, value in {**values, **times}.items() if value}


def as_of(message: Message, event: ClientEvent) -> Message:
    snapshot = copy(message)
    for name in VALUE_FIELDS:
        setattr(snapshot, name, event.snapshot.get(name, DEFAULTS.get(name, "")))
    for name in TIME_FIELDS:
        value = event.snapshot.get(name)
        setattr(snapshot, name, parse_datetime(value) if value else None)
    snapshot.updated_at = event.at
    return snapshot
