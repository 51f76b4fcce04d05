"""What a dialect is: how one event becomes an HTTP request, how that is signed, and which response means that it arrived."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from messaging.models import ClientEvent, Message, WebhookEndpoint
from providers.http.transport import HttpResponse


@dataclass(frozen=True, slots=True)
class ClientCall:
    """One HTTP request, not yet signed. The body is empty for a GET."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningCredential:
    """What the client of an endpoint recognises us by: `secrets` sign, newest first; `account` is its owner's name there."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    account: str = ""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a client is told: `message` as it was at the time of the event. A test delivery has neither.

    `webhook_id` is the same in every attempt. `options` is what follows the colon in `Message.callback_dialect`. `account` is
    that of the endpoint's credential.
    """

    endpoint: WebhookEndpoint
    webhook_id: str
    url: str = field(repr=False)
    now: datetime
    event: ClientEvent | None
    message: Message | None
    options: str = ""
    account: str = ""


class Dialect:
    """The common rules; each dialect overrides what differs."""

    # How many bytes of a response are read, for `is_confirmed`, `follow` and the effects of the response.
    max_response_bytes = 0
    # Without a secret nothing is sent, for this reason.
    is_signed = False
    unsigned = "The endpoint's secret cannot be read; rotate it."

    def wants(self, event_type: str, options: str) -> bool:
        """Return whether the client of a `callback_url` is told of events of this type."""
        return True

    def credentials(self, endpoints: Collection[WebhookEndpoint], *, now: datetime) -> Mapping[UUID, SigningCredential]:
        """The credentials by endpoint; an endpoint without one is left out."""
        return {}

    def request(self, occasion: Occasion) -> ClientCall | None:
        """Return the request to make; None if there is nothing to tell any more. Raises `CannotBeOpened`."""
        raise NotImplementedError

    def signature(
        self, request: ClientCall, *, webhook_id: str, secrets: tuple[str, ...], now: datetime
    ) -> dict[str, str]:
        """Return the headers that sign the request, at the moment of the call."""
        return {}

    def is_confirmed(self, response: HttpResponse) -> bool:
        """Return whether the client has taken the event."""
        return HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES

    def follow(self, first: ClientCall, request: ClientCall, response: HttpResponse) -> ClientCall | None:
        """Return the request that the response to `request` asks for, to be made next in the same delivery.

        `first` is the delivery's first request.
        """
        return None
