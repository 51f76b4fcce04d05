"""Parts of long texts: each is stored when it arrives, and the text is put together from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, pairwise

from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from messaging.models import InboundPart, Message
from messaging.models.encrypted import fault_of
from messaging.models.inbound_part import MAX_REFERENCE_LENGTH
from messaging.services.inbound.incoming import IncomingMessage, kept_media
from messaging.services.privacy import fingerprints
from providers import octets
from providers.contract.messages import MessagePart, ProviderKeyword
from providers.models import ProviderAccount

# How long a text waits for its parts, from the first that arrives.
WAIT = timedelta(minutes=5)
MAX_COUNT = 255  # as in the header of a concatenated SMS
GAP = "…"
# What a part has of these beside `from` and `to`: a character may stand in two parts.
OCTETS = frozenset({"octets", "charset"})


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that is stored. `text` has the parts of its text so far, this one included; it is empty for a repeat."""

    part: InboundPart
    text: Sequence[InboundPart]

    @property
    def is_repeat(self) -> bool:
        return not self.text

    @property
    def is_complete(self) -> bool:
        return len(self.text) == self.part.count and not any(
            fault_of(part, name) for part in self.text for name in ("text", "unabridged")
        )


def is_part(part: MessagePart | None) -> bool:
    """False for a text that came whole, and for a part whose place cannot be true: it is shown as it is."""
    return part is not None and bool(part.reference) and 1 < part.count <= MAX_COUNT and 1 <= part.number <= part.count


def add(incoming: IncomingMessage, place: MessagePart, *, account: ProviderAccount, now: datetime) -> StoredPart:
    """Store a part, unless it is a repeat. The caller has locked the sender's number."""
    part = InboundPart(
        id=uuid7(),
        provider=account,
        from_number=incoming.sender,
        to_number=incoming.recipient,
        reference=place.reference[:MAX_REFERENCE_LENGTH],
        count=place.count,
        number=place.number,
        text=incoming.text,
        media_urls=list(incoming.addresses),
        media_left_out=incoming.media_left_out,
        unabridged={**incoming.unabridged, **_octets(place)},
        provider_message_id=incoming.provider_message_id,
        provider_keyword=incoming.provider_keyword or "",
        received_at=now,
    )
    digests = fingerprints.hmac_digest("inbound_part", _identity(incoming))
    part.digest = digests[0]
    same = _of_one_reference(part).filter(number=part.number, digest__in=digests)
    if not part.provider_message_id:
        same = same.filter(received_at__gte=now - WAIT)
    known = same.select_related("message").first()
    if known is not None:
        return StoredPart(known, ())
    others = _open_text_without(part)
    part.group = others[0].group if others else part.pk
    part.due_at = others[0].due_at if others else now + WAIT
    InboundPart.objects.bulk_create([part])
    return StoredPart(part, [*others, part])


def joined(parts: Sequence[InboundPart]) -> IncomingMessage:
    """The text of these parts, in their order, with a mark at each gap. Raises `CannotBeOpened`."""
    ordered = sorted(parts, key=lambda part: part.number)
    first = ordered[0]
    addresses, too_many = kept_media(chain.from_iterable(part.media_urls for part in ordered))
    keyword = next((part.provider_keyword for part in ordered if part.provider_keyword), "")
    return IncomingMessage(
        sender=first.from_number,
        recipient=first.to_number,
        text=_joined_text(ordered),
        addresses=addresses,
        media_left_out=too_many + sum(part.media_left_out for part in ordered),
        unabridged={name: value for name, value in first.unabridged.items() if name not in OCTETS},
        part_count=first.count,
        missing_parts=first.count - len(ordered),
        provider_message_id=first.provider_message_id,
        provider_keyword=ProviderKeyword(keyword) if keyword else None,
    )


def _joined_text(ordered: Sequence[InboundPart]) -> str:
    first, last = ordered[0], ordered[-1]
    text = "" if first.number == 1 else f"{GAP} "
    expected = first.number
    for run in _runs(ordered):
        if run[0].number != expected:
            text += f" {GAP} "
        text += _text_of(run)
        expected = run[-1].number + 1
    return text if last.number == last.count else f"{text} {GAP}"


def _runs(ordered: Sequence[InboundPart]) -> list[list[InboundPart]]:
    """The parts without those that are missing between them, in groups that are decoded together."""
    runs = [[ordered[0]]]
    for before, part in pairwise(ordered):
        if part.number == before.number + 1 and _charset(part) == _charset(before):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _text_of(run: Sequence[InboundPart]) -> str:
    charset = _charset(run[0])
    if not charset or len(run) == 1:
        return "".join(part.text for part in run)
    return octets.join([bytes.fromhex(part.unabridged["octets"]) for part in run], charset)


def _charset(part: InboundPart) -> str:
    return str(part.unabridged.get("charset", ""))


def _octets(place: MessagePart) -> dict[str, str]:
    return {"octets": place.octets.hex(), "charset": place.charset} if place.charset else {}


def close(parts: Sequence[InboundPart], message: Message) -> None:
    """Empty the parts of a text that is stored. They stay to recognise repeats."""
    InboundPart.objects.filter(pk__in=[part.pk for part in parts]).update(
        message=message, text="", unabridged={}, media_urls=[]
    )


def _identity(incoming: IncomingMessage) -> bytes:
    """What two arrivals of the same part have in common: the provider's id, else the content."""
    content = [incoming.provider_message_id] if incoming.provider_message_id else [incoming.text, *incoming.addresses]
    return json.dumps(content).encode()


def _of_one_reference(part: InboundPart) -> QuerySet[InboundPart]:
    return InboundPart.objects.filter(
        provider=part.provider,
        from_number=part.from_number,
        to_number=part.to_number,
        reference=part.reference,
        count=part.count,
    )


def _open_text_without(part: InboundPart) -> list[InboundPart]:
    """The parts of the oldest text with this reference that waits for this part; empty if the part begins a text."""
    texts: dict[object, list[InboundPart]] = {}
    for other in _of_one_reference(part).filter(message=None).order_by("pk"):
        texts.setdefault(other.group, []).append(other)
    return next((text for text in texts.values() if all(other.number != part.number for other in text)), [])
