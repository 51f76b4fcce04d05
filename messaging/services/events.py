"""Writing down what clients are told, and reading it back as it was then."""

from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from messaging.event_types import OF_STATUS, EventType
from messaging.models import ClientEvent, Message
from messaging.services.representation import isoformat_utc, serialize_message
from messaging.states import Status

# What changes of a message while it lives, as far as its owner is shown it; a value that is empty is left out.
WORDS = ("status", "from_number", "provider_id", "provider_message_id", "attempts", "error_code", "error_detail")
MOMENTS = ("sent_at", "delivered_at")
EMPTY: dict[str, Any] = {"attempts": 0, "provider_id": None}


def record(messages: Iterable[Message], *, at: datetime) -> None:
    """What these messages' new statuses say to their owners, in one query at the most. Runs in the change's transaction."""
    events = [
        ClientEvent(
            owner_id=message.owner_id,
            type=OF_STATUS[Status(message.status)],
            at=at,
            message_id=message.pk,
            has_callback_url=bool(message.callback_url),
            snapshot=_snapshot(message),
        )
        for message in messages
        if message.owner_id is not None and Status(message.status) in OF_STATUS
    ]
    if events:
        ClientEvent.objects.bulk_create(events)


def record_data(*, owner_id: int, event_type: EventType, data: dict[str, Any], at: datetime) -> None:
    """An event that is not about a message; `data` is what its owner is shown."""
    ClientEvent.objects.create(owner_id=owner_id, type=event_type, at=at, snapshot={"data": data})


def body(
    event: ClientEvent, message: Message | None, *, show: Callable[[Message], dict[str, Any]] = serialize_message
) -> dict[str, Any] | None:
    """The event as its owner is shown it, or None when its message (to be fetched by `message_id`) has been erased.

    Raises what `show` raises: `CannotBeOpened` as it stands.
    """
    data = event.snapshot.get("data") if event.message_id is None else None
    if message is not None:
        data = show(_as_of(message, event))
    if data is None:
        return None
    return {"type": event.type, "timestamp": isoformat_utc(event.at), "sequence": event.sequence, "data": data}


def _snapshot(message: Message) -> dict[str, Any]:
    words = {name: getattr(message, name) for name in WORDS}
    moments = {name: isoformat_utc(getattr(message, name)) for name in MOMENTS}
    return {name: value for name, value in {**words, **moments}.items() if value}


def _as_of(message: Message, event: ClientEvent) -> Message:
    then = copy(message)
    for name in WORDS:
        setattr(then, name, event.snapshot.get(name, EMPTY.get(name, "")))
    for name in MOMENTS:
        value = event.snapshot.get(name)
        setattr(then, name, parse_datetime(value) if value else None)
    then.updated_at = event.at
    return then
