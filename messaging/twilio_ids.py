"""Twilio's ids and words for our messages: two letters and 32 hexadecimal digits, derived from our ids without a table."""

import hashlib
import re
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from messaging.states import Status

MESSAGE, MESSAGE_WITH_MEDIA, MEDIA, SERVICE, NUMBER = "SM", "MM", "ME", "MG", "PN"
VERIFICATION, VERIFICATION_ATTEMPT = "VE", "VL"
_SID = re.compile(r"(?P<kind>[A-Z]{2})(?P<hex>[0-9a-fA-F]{32})")

STATUSES: Mapping[str, str] = {
    Status.SCHEDULED: "scheduled",
    Status.QUEUED: "queued",
    Status.SENDING: "sending",
    Status.SENT: "sent",
    # It may have been sent, and a final word would make clients send it again.
    Status.UNKNOWN: "sent",
    Status.DELIVERED: "delivered",
    Status.UNDELIVERED: "undelivered",
    Status.FAILED: "failed",
    Status.CANCELED: "canceled",
    Status.RECEIVED: "received",
    Status.STORED: "received",
    Status.PROCESSED: "received",
}


class _Message(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def media_count(self) -> int: ...
    @property
    def status(self) -> str: ...


def message_sid(message: _Message) -> str:
    return f"{MESSAGE_WITH_MEDIA if message.media_count else MESSAGE}{message.id.hex}"


def media_sid(asset_id: UUID) -> str:
    return f"{MEDIA}{asset_id.hex}"


def service_sid(queue_name: str) -> str:
    """A queue as a messaging service."""
    return f"{SERVICE}{hashlib.sha256(queue_name.encode()).hexdigest()[:32]}"


def number_sid(number: str) -> str:
    """A sender number as an incoming phone number."""
    return f"{NUMBER}{hashlib.sha256(number.encode()).hexdigest()[:32]}"


def verification_sid(verification_id: UUID) -> str:
    return f"{VERIFICATION}{verification_id.hex}"


def attempt_sid(message_id: UUID) -> str:
    """A message that told a code, as an attempt of its verification."""
    return f"{VERIFICATION_ATTEMPT}{message_id.hex}"


def verification_of(sid: str) -> UUID | None:
    """The id of a verification; None for anything else."""
    return _uuid(sid, VERIFICATION)


def uuid_of(sid: str) -> UUID | None:
    """The id of a message; None for anything else. Both `SM` and `MM` name a message, whether or not it has media."""
    return _uuid(sid, MESSAGE, MESSAGE_WITH_MEDIA)


def asset_of(sid: str) -> UUID | None:
    """The id of a media asset; None for anything else."""
    return _uuid(sid, MEDIA)


def _uuid(sid: str, *kinds: str) -> UUID | None:
    found = _SID.fullmatch(sid)
    return UUID(hex=found["hex"]) if found and found["kind"] in kinds else None


def twilio_status(message: _Message) -> str:
    return STATUSES[message.status]
