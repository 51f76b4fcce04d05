"""Callbacks: a provider's request, and the receipts that it brings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A provider's HTTP request, as it reached us: the public URL with its query; header names in lower case."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CallbackResponse:
    """What a provider wants to read when it has brought a text."""

    content_type: str
    body: str


class ReportedStatus(StrEnum):
    """What a receipt says, in our words. `PROGRESS` changes nothing (the provider is still busy)."""

    PROGRESS = "progress"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"
    INVALID = "invalid"
    OPTED_OUT = "opted_out"
    UNRECOGNIZED = "unknown_word"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One receipt. `raw_status` and `error_code` are the provider's own, each at most 64 characters."""

    provider_message_id: str
    status: ReportedStatus
    raw_status: str
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class MediaAccess:
    """How an account's incoming media are fetched: who we are at the origin they lie at, and where that may redirect to."""

    origin: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    redirect_hosts: frozenset[str] = frozenset()
