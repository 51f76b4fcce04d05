"""The texts in PDUs: read with the parts of long ones joined, and written for replies."""

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from providers import gsm
from providers.smpp.constants import UDH, Tag
from providers.smpp.pdu import ShortMessage

MAX_INCOMPLETE: Final = 10_000
DEFAULT, ASCII, LATIN1, UCS2 = 0, 1, 3, 8
REFERENCE_8, REFERENCE_16 = 0x00, 0x08
"""Elements of a user data header with the place of a part, with a reference of that many bits."""
GSM_OCTETS, UCS2_OCTETS = 160, 140
PART_GSM_OCTETS, PART_UCS2_OCTETS = 152, 134
SURROGATES = range(0xD800, 0xDC00)


@dataclass(frozen=True, slots=True)
class PartPlace:
    """Which part of which long text a PDU has."""

    reference: int
    count: int
    number: int


@dataclass(frozen=True, slots=True)
class SubmittedText:
    """A whole text as the carrier got it. `pdus` is the number of PDUs that it came in."""

    source: str
    to: str
    text: str = field(repr=False)
    message_ids: tuple[str, ...]
    pdus: int
    data_coding: int


class Joining:
    """Joins the parts of long texts."""

    def __init__(self) -> None:
        self._incomplete: OrderedDict[tuple[str, str, int, int], dict[int, tuple[str, bytes]]] = OrderedDict()

    @property
    def incomplete(self) -> int:
        """The number of texts of which parts are missing."""
        return len(self._incomplete)

    def add(self, message: ShortMessage, message_id: str, *, default_alphabet: str) -> SubmittedText | None:
        """The text that is complete with this PDU. A part that comes twice before that makes a text of its own."""
        place, octets = split(message)
        if default_alphabet == "gsm7_packed" and message.data_coding == DEFAULT:
            octets = _unpacked(octets, header_octets=len(message.payload) - len(octets))
        if place is None or place.count <= 1:
            return _text(message, (message_id,), octets, default_alphabet)
        key = (message.source.text, message.destination.text, place.reference, place.count)
        parts = self._incomplete.setdefault(key, {})
        if place.number in parts:
            return _text(message, (message_id,), octets, default_alphabet)
        parts[place.number] = (message_id, octets)
        if len(parts) < place.count:
            while len(self._incomplete) > MAX_INCOMPLETE:
                self._incomplete.popitem(last=False)
            return None
        del self._incomplete[key]
        ordered = [parts[number] for number in sorted(parts)]
        ids = tuple(message_id for message_id, _ in ordered)
        return _text(message, ids, b"".join(octets for _, octets in ordered), default_alphabet)


def split(message: ShortMessage) -> tuple[PartPlace | None, bytes]:
    """The place, from a user data header or from optional parameters, and the octets without the header."""
    payload = message.payload
    if message.esm_class & UDH and payload:
        header, octets = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
        return _place_in_header(header), octets
    reference, count, number = (
        message.tlvs.get(tag) for tag in (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)
    )
    if reference and count and number:
        return PartPlace(int.from_bytes(reference, "big"), count[0], number[0]), payload
    return None, payload


def _place_in_header(header: bytes) -> PartPlace | None:
    while len(header) >= 2:  # noqa: PLR2004 (an element is its name, its length and that many octets)
        kind, length = header[:2]
        value, header = header[2 : 2 + length], header[2 + length :]
        if kind == REFERENCE_8 and length == 3:  # noqa: PLR2004
            return PartPlace(*value)
        if kind == REFERENCE_16 and length == 4:  # noqa: PLR2004
            return PartPlace(*struct.unpack(">HBB", value))
    return None


def _text(message: ShortMessage, ids: tuple[str, ...], octets: bytes, default_alphabet: str) -> SubmittedText:
    return SubmittedText(
        source=message.source.text,
        to=message.destination.text,
        text=decoded(octets, message.data_coding, default_alphabet=default_alphabet),
        message_ids=ids,
        pdus=len(ids),
        data_coding=message.data_coding,
    )


def decoded(octets: bytes, data_coding: int, *, default_alphabet: str) -> str:
    """Of packed septets, the unpacked ones. What cannot be read is given in hexadecimal, which no test takes for a text."""
    try:
        if data_coding == UCS2:
            return octets.decode("utf-16-be")
        if data_coding == LATIN1:
            return octets.decode("latin-1")
        if data_coding == ASCII or default_alphabet == "ascii":
            return octets.decode("ascii")
        if default_alphabet == "latin1":
            return octets.decode("latin-1")
        return gsm.decode(octets)
    except ValueError:
        return f"unreadable: {octets.hex()}"


def _unpacked(octets: bytes, *, header_octets: int) -> bytes:
    """One octet for each septet. Septets begin at a multiple of 7 bits; the filling at the end is left out."""
    skipped = -header_octets * 8 % 7
    bits, count = int.from_bytes(octets, "little") >> skipped, (len(octets) * 8 - skipped) // 7
    septets = bytes(bits >> 7 * index & 0x7F for index in range(count))
    has_filling = (len(octets) * 8 - skipped) % 7 == 0 and septets[-1:] in {b"\r", b"\0"}
    return septets[:-1] if has_filling else septets


def encoded(text: str, *, reference: int) -> Iterator[tuple[int, int, bytes]]:
    """`data_coding`, `esm_class` and octets of each PDU for a text: GSM 03.38 where that has all its characters, else UCS-2."""
    octets = gsm.encode(text)
    if gsm.decode(octets) == text:
        coding, whole, part = DEFAULT, GSM_OCTETS, PART_GSM_OCTETS
    else:
        octets = text.encode("utf-16-be")
        coding, whole, part = UCS2, UCS2_OCTETS, PART_UCS2_OCTETS
    if len(octets) <= whole:
        yield coding, 0, octets
        return
    parts = list(_cut(octets, part, coding))
    for number, octets in enumerate(parts, start=1):
        yield coding, UDH, bytes([5, REFERENCE_8, 3, reference & 0xFF, len(parts), number]) + octets


def _cut(octets: bytes, size: int, coding: int) -> Iterator[bytes]:
    """Never through a pair of an escape and its character, nor through a pair of surrogates."""
    while octets:
        end = min(size, len(octets))
        if end < len(octets) and coding == DEFAULT and octets[end - 1] == gsm.ESCAPE:
            end -= 1
        if end < len(octets) and coding == UCS2 and int.from_bytes(octets[end - 2 : end], "big") in SURROGATES:
            end -= 2
        yield octets[:end]
        octets = octets[end:]
