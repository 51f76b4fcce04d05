"""Inbound texts as they arrive, before they are stored; a provider's is made storable without losing or guessing anything."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.message import MAX_PARTY_LENGTH
from messaging.services.inbound.marks import MAX_MEDIA_URL_LENGTH
from providers.contract.messages import InboundMessage, ProviderKeyword
from providers.errors import MalformedCallback
from providers.numbers import NumberFormat

E164 = NumberFormat()
SHORT_CODE_DIGITS = range(3, 7)
MAX_NAME_LENGTH = 11
MAX_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One inbound text. A provider's callback has media as URLs (`addresses`), a client's request as `assets`.

    `recipient` is empty if the provider does not name it. `unabridged` has the sender (`from`) and recipient (`to`) as they
    came if no column holds them. `part_count` is 0, unless the text was put together from its parts.
    """

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    assets: tuple[UUID, ...] = ()
    addresses: tuple[str, ...] = field(default=(), repr=False)
    media_left_out: int = 0
    unabridged: Mapping[str, str] = field(default_factory=dict, repr=False)
    part_count: int = 0
    missing_parts: int = 0
    provider_message_id: str = ""
    provider_keyword: ProviderKeyword | None = None


def read(text: InboundMessage) -> IncomingMessage:
    """Raises `MalformedCallback` for a text without a sender; every other one can be stored."""
    sender, recipient = _party(text.sender), _party(text.recipient)
    if not sender:
        raise MalformedCallback("the text names no sender")
    addresses, left_out = kept_media(text.media_urls)
    return IncomingMessage(
        sender=abridged(sender),
        recipient=abridged(recipient),
        text=_storable(text.text),
        addresses=addresses,
        media_left_out=left_out,
        unabridged={
            name: party for name, party in (("from", sender), ("to", recipient)) if len(party) > MAX_PARTY_LENGTH
        },
        provider_message_id=_identifier(text.provider_message_id),
        provider_keyword=text.keyword,
    )


def is_unreadable(party: str) -> bool:
    """Whether a sender or recipient is neither a number in E.164 nor a short code nor a name, so that no one can be reached."""
    if any(character.isalpha() for character in party):
        return len(party) > MAX_NAME_LENGTH
    if party.isascii() and party.isdigit() and len(party) in SHORT_CODE_DIGITS:
        return False
    return E164.read(party) != party


def abridged(party: str) -> str:
    """The party itself if its column holds it; else a short form that is no number, and the same for the same party only."""
    if len(party) <= MAX_PARTY_LENGTH:
        return party
    return f"{party[:10]}…{hashlib.sha256(party.encode()).hexdigest()[:5]}"


def kept_media(urls: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """The URLs that can be fetched, each once and no more than a text may have, and how many others there were."""
    unique = tuple(dict.fromkeys(urls))
    kept = tuple(url for url in unique if _is_fetchable(url))[:MAX_ATTACHMENTS]
    return kept, len(unique) - len(kept)


def _party(given: str) -> str:
    """E.164 for a number that names its country; the rest stays as it came: it may be another person's number."""
    text = _storable(given).strip()
    return E164.read(text) or text


def _is_fetchable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_host and parts.scheme in {"http", "https"} and url.isprintable() and len(url) <= MAX_MEDIA_URL_LENGTH


def _identifier(given: str) -> str:
    text = _storable(given)
    return text if len(text) <= MAX_ID_LENGTH else hashlib.sha256(text.encode()).hexdigest()


def _storable(text: str) -> str:
    """Replace what a database cannot hold: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
