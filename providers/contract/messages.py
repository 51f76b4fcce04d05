"""Texts on their way between Switchboard and a provider."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One text to hand to a provider. `reference` is our message's id; `callback_url` already carries its proof."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    sender: str | None
    reference: str
    callback_url: str | None = field(default=None, repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the text. An empty `provider_message_id` means that no receipt can be matched by id."""

    provider_message_id: str = ""


class ProviderKeyword(StrEnum):
    """What a person has asked for by a word that the provider has understood itself, and has answered."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One text from a person. `provider_message_id` is empty when the provider gives none.

    `keyword` is set where the provider has obeyed and answered a keyword itself, in whatever language; it decides then.
    """

    provider_message_id: str
    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    media_urls: tuple[str, ...] = field(default=(), repr=False)
    keyword: ProviderKeyword | None = None
