"""Callbacks: delivery receipts and incoming messages that a provider posts to us."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from providers.contract.messages import InboundMessage
from providers.contract.prices import CarrierPrice
from providers.contract.sender import Sender


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A provider's HTTP request: the public URL with its query, header names in lower case, the raw body.

    `token` is the token in the query, "" without one.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    token: str = field(default="", repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class CallbackResponse:
    """The response that a provider expects to a callback that is stored."""

    content_type: str
    body: str
    status: int = 200


class ReportedStatus(StrEnum):
    """The meaning of a receipt. `PROGRESS` changes nothing: the provider is still busy with the message."""

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
    """One receipt. `raw_status` and `error_code` are the provider's own, each at most 64 characters.

    `provider_message_id` is empty where the receipt names none; then our callback address names the attempt. `reference` is
    our message's id, where the provider repeats it. `price` is the carrier's own, of the whole message.
    """

    provider_message_id: str
    status: ReportedStatus
    raw_status: str
    error_code: str = ""
    reference: str = ""
    price: CarrierPrice | None = None


@dataclass(frozen=True, slots=True)
class MediaAccess:
    """Credentials for the media of incoming messages, for one origin, and the hosts that it may redirect to."""

    origin: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    redirect_hosts: frozenset[str] = frozenset()


class CallbackParser(ABC):
    """The part of a backend whose provider posts callbacks. It translates only, and makes no call.

    A proof or a handshake that needs one is an exception: then `verify` or a parser raises `VerificationUnavailable` without an
    answer, and the provider repeats the callback.
    """

    status_response: CallbackResponse | None = None
    """What the provider reads after a receipt; None where any response of 2xx will do."""

    inbound_response: CallbackResponse = CallbackResponse("application/json", '{"result": "stored"}')

    @abstractmethod
    def verify(self, request: CallbackRequest) -> None:
        """Raise `InvalidSignature` unless the request provably comes from this account's provider."""

    @abstractmethod
    def parse_status(self, request: CallbackRequest) -> Sequence[StatusReport]:
        """Translate the verified receipts of one request, in their order. An unknown status is reported as `UNRECOGNIZED`.

        Raises `MalformedCallback` for a request of which any part cannot be understood: a request is never half used.
        """

    @abstractmethod
    def parse_inbound(self, request: CallbackRequest) -> Sequence[InboundMessage]:
        """Translate the verified incoming messages of one request, in their order.

        Raises `MalformedCallback` for a request of which any part cannot be understood: a request is never half used.
        The backend of a provider without incoming messages raises it for every request.
        """

    def media_access(self) -> MediaAccess | None:
        """The credentials for media of incoming messages; None where the media are public."""
        return None


def callback_parser(backend: Sender) -> CallbackParser | None:
    """The backend, if it takes callbacks as it is configured."""
    return backend if backend.capabilities.callbacks and isinstance(backend, CallbackParser) else None
