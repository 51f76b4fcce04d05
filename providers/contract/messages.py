"""Messages that a provider carries, in both directions."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message to send. `reference` is our message's id.

    `callback_url` is complete, with its token; None where the backend takes no callbacks.
    """

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    callback_url: str | None = field(default=None, repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider accepted the message. Without a `provider_message_id` no receipt can be matched by id."""

    provider_message_id: str = ""


class ProviderKeyword(StrEnum):
    """A keyword that the provider recognised and answered itself."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One incoming message. `provider_message_id` is empty when the provider gives none.

    `keyword` is set where the provider recognised and answered a keyword itself, in any language: that decides, not the text.
    """

    provider_message_id: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)
    keyword: ProviderKeyword | None = None
