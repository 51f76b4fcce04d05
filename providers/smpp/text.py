"""Texts as SMPP carries them: alphabets, and long texts in parts.

`split` writes. A text that the account's default alphabet cannot hold goes as UCS-2.

| alphabet | data_coding | one message | a part |
| --- | --- | --- | --- |
| `gsm7`, one septet an octet | 0 | 160 septets | 153; 152 with a 16-bit reference |
| `gsm7_packed`, eight septets in seven octets | 0 | 160 septets | 153; 152 |
| `latin1` | 3 | 140 octets, and 160 septets | 134 and 153; 133 and 152 |
| `ascii` | 1 | the same | the same |
| UCS-2 (UTF-16BE) | 8 | 70 units | 67; 66 |

Mobile networks know neither Latin-1 nor ASCII. A message centre converts them to septets, or passes them on as octets, and
does not say which. So these texts are counted both ways, and a part has to fit both ways: octets are what other clients
(node-smpp, Jasmin) count, septets bound texts with many brackets. Such a text may have a part more than `messaging.segments`
counts.

`udh` and `udh16` join the parts by a header in the text, with a reference of 8 or 16 bits. With `sar` the three TLVs say the
same and the message centre writes the header, usually the short one. With `message_payload` it also cuts the text. A text that
needs one part has none of these.
Source: SMPP 3.4, sections 5.2.12, 5.2.19, 5.3.2.22 to 24 and 32; 3GPP TS 23.040, section 9.2.3.24.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from providers import gsm
from providers.smpp.constants import UDH, Tag

MAX_PARTS = 255
_LAST_OF_LATIN1, _LAST_OF_BMP = "\xff", "\uffff"
_MASK_8, _MASK_16 = 0xFF, 0xFFFF

# Capacities of a message without a header and beside one of 6 or 7 octets: characters, and septets or UTF-16 units.
_GSM_LIMITS: Final = {0: (160, 160), 6: (153, 153), 7: (152, 152)}
_OCTET_LIMITS: Final = {0: (140, 160), 6: (134, 153), 7: (133, 152)}
_UCS2_LIMITS: Final = {0: (70, 70), 6: (67, 67), 7: (66, 66)}


class Alphabet(StrEnum):
    """What data_coding 0 means for an account, or the alphabet that replaces it."""

    GSM7 = "gsm7"
    GSM7_PACKED = "gsm7_packed"
    LATIN1 = "latin1"
    ASCII = "ascii"


class LongText(StrEnum):
    UDH = "udh"
    UDH16 = "udh16"
    SAR = "sar"
    MESSAGE_PAYLOAD = "message_payload"


@dataclass(frozen=True, slots=True)
class TextPart:
    """The fields of one PDU. `octets` is its short_message, header included. `text` is the part in clear."""

    octets: bytes = field(repr=False)
    data_coding: int
    text: str = field(repr=False)
    esm_class: int = 0
    tlvs: Mapping[int, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Coding:
    """How one text is written. `sizes` has the septets or units of each character."""

    data_coding: int
    limits: Mapping[int, tuple[int, int]]
    sizes: Sequence[int] = field(repr=False)
    alphabet: Alphabet | None  # None is UCS-2

    def encode(self, text: str, *, header: bytes = b"") -> bytes:
        match self.alphabet:
            case None:
                return text.encode("utf-16-be")
            case Alphabet.GSM7:
                return gsm.encode(text)
            case Alphabet.GSM7_PACKED:
                return gsm.pack(gsm.encode(text), fill_bits=fill_bits(len(header)))
            case Alphabet.LATIN1 | Alphabet.ASCII:
                return text.encode("latin-1")


def fill_bits(header_octets: int) -> int:
    """The bits between a header and packed septets: these begin at a multiple of 7 bits."""
    return -gsm.OCTET_BITS * header_octets % gsm.SEPTET_BITS


def split(text: str, *, alphabet: Alphabet, long_text: LongText, reference: int) -> list[TextPart]:
    """The text as one part or several, never cut within a character, an escape pair or a surrogate pair.

    The lowest bits of `reference` are used, 8 with `udh`, else 16. Raises `ValueError` for a text with half a surrogate pair,
    and for one that needs more than 255 parts.
    """
    coding = _coding(text, alphabet)
    longest, most_units = coding.limits[0]
    if len(text) <= longest and sum(coding.sizes) <= most_units:
        return [TextPart(coding.encode(text), coding.data_coding, text)]
    if long_text is LongText.MESSAGE_PAYLOAD:
        return [TextPart(b"", coding.data_coding, text, tlvs={Tag.MESSAGE_PAYLOAD: coding.encode(text)})]
    limits = coding.limits[7 if long_text is LongText.UDH16 else 6]
    pieces = [text[begin:end] for begin, end in _cuts(coding.sizes, limits)]
    if len(pieces) > MAX_PARTS:
        raise ValueError(f"the text needs more than {MAX_PARTS} parts")
    return [
        _part(piece, coding, long_text, reference, number=number, count=len(pieces))
        for number, piece in enumerate(pieces, start=1)
    ]


def _part(piece: str, coding: _Coding, long_text: LongText, reference: int, *, number: int, count: int) -> TextPart:
    if long_text is LongText.SAR:
        tlvs: dict[int, bytes] = {
            Tag.SAR_MSG_REF_NUM: (reference & _MASK_16).to_bytes(2, "big"),
            Tag.SAR_TOTAL_SEGMENTS: bytes([count]),
            Tag.SAR_SEGMENT_SEQNUM: bytes([number]),
        }
        return TextPart(coding.encode(piece), coding.data_coding, piece, tlvs=tlvs)
    if long_text is LongText.UDH16:
        header = bytes([6, 0x08, 4, *(reference & _MASK_16).to_bytes(2, "big"), count, number])
    else:
        header = bytes([5, 0x00, 3, reference & _MASK_8, count, number])
    octets = header + coding.encode(piece, header=header)
    return TextPart(octets, coding.data_coding, piece, esm_class=UDH)


def _coding(text: str, alphabet: Alphabet) -> _Coding:
    match alphabet:
        case Alphabet.GSM7 | Alphabet.GSM7_PACKED if gsm.CHARACTERS.issuperset(text):
            return _Coding(0, _GSM_LIMITS, _septets(text), alphabet)
        case Alphabet.LATIN1 if max(text, default="") <= _LAST_OF_LATIN1:
            return _Coding(3, _OCTET_LIMITS, _septets(text), alphabet)
        case Alphabet.ASCII if text.isascii():
            return _Coding(1, _OCTET_LIMITS, _septets(text), alphabet)
        case _:
            return _Coding(8, _UCS2_LIMITS, [2 if each > _LAST_OF_BMP else 1 for each in text], None)


def _septets(text: str) -> list[int]:
    return [2 if each in gsm.EXTENDED else 1 for each in text]


def _cuts(sizes: Sequence[int], limits: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The parts, each as long as it can be, as positions in the text."""
    longest, most_units = limits
    begin, units = 0, 0
    for at, size in enumerate(sizes):
        if at - begin == longest or units + size > most_units:
            yield begin, at
            begin, units = at, 0
        units += size
    yield begin, len(sizes)
