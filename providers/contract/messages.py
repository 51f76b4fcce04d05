"""Messages that a provider carries, in both directions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from providers.contract.prices import CarrierPrice


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message to send. `reference` is our message's id, `attempt` that of this attempt; a test has none.

    `callback_url` is complete, with its token; None where the backend takes no callbacks. `encoding` is `gsm7` or `ucs2`.
    After `valid_until` the text is of no use to its recipient: a provider that can be told is told.
    `category` is `transactional`, `otp`, `marketing` or `emergency`; `parameters` are for the carrier, by name.
    """

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    callback_url: str | None = field(default=None, repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)
    encoding: str = "gsm7"
    segments: int = 1
    valid_until: datetime | None = None
    attempt: str = ""
    category: str = "transactional"
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider accepted the message. Without a `provider_message_id` no receipt can be matched by id.

    `part_ids` has all ids, the first one included, where the provider gives each part of a long text its own; else it is empty.
    `price` is the carrier's own, of all parts, where the response has it.
    """

    provider_message_id: str = ""
    part_ids: tuple[str, ...] = ()
    price: CarrierPrice | None = None


class ProviderKeyword(StrEnum):
    """A keyword that the provider recognised and answered itself."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class MessagePart:
    """The place of a part in a long text: `number` of `count`, from 1. `reference` is the same for all its parts.

    `octets` are those of its text where a character may stand in two parts; `providers.octets.join` decodes the parts together
    by their `charset`.
    """

    reference: str
    number: int
    count: int
    octets: bytes = field(default=b"", repr=False)
    charset: str = ""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One incoming message. `provider_message_id` is empty when the provider gives none.

    `sender` and `recipient` are E.164 where `providers.numbers` could read them, else as they came: a short code, a name, or a
    number that nobody can read. `recipient` is empty where the provider does not name it.
    `keyword` is set where the provider recognised and answered a keyword itself, in any language: that decides, not the text.
    """

    provider_message_id: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)
    keyword: ProviderKeyword | None = None
    part: MessagePart | None = None
