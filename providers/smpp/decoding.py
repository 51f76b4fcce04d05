"""Texts of incoming PDUs: what octets and a data_coding mean, and which part of a long text they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from providers import gsm
from providers import octets as texts
from providers.contract.messages import MessagePart
from providers.smpp.constants import Tag
from providers.smpp.text import Alphabet, fill_bits

MAX_USER_DATA = 140
_REFERENCE_OCTETS: Final[Mapping[int, int]] = {
    0x00: 1,
    0x08: 2,
}  # the two elements of concatenation, by their identifiers

_SAR_TAGS: Final = (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)
_BINARY_CLASS, _GSM_CLASS, _UCS2_CLASS = 4, 0, 8


@dataclass(frozen=True, slots=True)
class DataHeader:
    """A user data header. `octets` is its length with the length octet, 0 if there is none that can be read."""

    octets: int = 0
    part: MessagePart | None = None


def decode(octets: bytes, data_coding: int, default_alphabet: Alphabet, *, header_octets: int = 0) -> str:
    """The text, without characters that cannot be stored. `header_octets` tells where packed septets begin.

    Raises `ValueError` for binary data (data_coding 2 and 4, and the message classes of 8-bit data) that is no readable text.
    """
    text = _decode(octets, data_coding, default_alphabet, header_octets)
    return text.replace("\x00", "")


def octets_of_part(
    octets: bytes, data_coding: int, default_alphabet: Alphabet, *, header_octets: int = 0
) -> tuple[bytes, str]:
    """The octets of a part and their charset, for `providers.octets.join`; an empty charset where each octet is a character."""
    coding = _coding_of_class(data_coding)
    if coding == _UCS2_CLASS:
        return texts.big_endian(octets), texts.UTF_16
    if coding in _READERS:
        return octets, _CHARSETS.get(coding, "")
    if default_alphabet is Alphabet.GSM7_PACKED:
        return _unpacked(octets, header_octets), texts.GSM
    is_gsm = default_alphabet is Alphabet.GSM7 or coding == _GSM_CLASS != data_coding
    return octets, texts.GSM if is_gsm else ""


def read_udh(octets: bytes) -> DataHeader:
    """The header at the beginning of these octets, which esm_class announces.

    A broken header is no header, and a broken element of concatenation no part.
    """
    if not octets or octets[0] + 1 > len(octets):
        return DataHeader()
    length, part, at = octets[0] + 1, None, 1
    while at + 2 <= length:
        identifier, size = octets[at], octets[at + 1]
        value = octets[at + 2 : min(at + 2 + size, length)]
        reference_octets = _REFERENCE_OCTETS.get(identifier)
        if reference_octets is not None and size == len(value) == reference_octets + 2:
            part = _part(value[:-2], count=value[-2], number=value[-1]) or part
        at += 2 + size
    return DataHeader(length, part)


def sar_part(tlvs: Mapping[int, bytes]) -> MessagePart | None:
    """The part that the three TLVs of SAR name; None without all of them."""
    reference, count, number = (tlvs.get(tag, b"") for tag in _SAR_TAGS)
    if not (0 < len(reference) <= 2 and len(count) == len(number) == 1):  # noqa: PLR2004 (two octets by the standard)
        return None
    return _part(reference, count=count[0], number=number[0])


def _part(reference: bytes, *, count: int, number: int) -> MessagePart | None:
    """None for a text of one part, and for numbers that cannot be."""
    if count <= 1 or not 1 <= number <= count:
        return None
    return MessagePart(str(int.from_bytes(reference, "big")), number=number, count=count)


def _decode(octets: bytes, data_coding: int, default: Alphabet, header_octets: int) -> str:
    coding = _coding_of_class(data_coding)
    if coding in _READERS:
        return _READERS[coding](octets)
    # A message class names GSM's alphabet itself, whatever the default is.
    is_gsm = coding == _GSM_CLASS != data_coding and default is not Alphabet.GSM7_PACKED
    return _default(octets, Alphabet.GSM7 if is_gsm else default, header_octets)


def _coding_of_class(data_coding: int) -> int:
    """The simple coding for a message class or waiting indication of GSM (3GPP TS 23.038, section 4); others as they are."""
    match data_coding >> 4:
        case 0x1:
            return {0: _GSM_CLASS, 1: _BINARY_CLASS, 2: _UCS2_CLASS}.get(data_coding >> 2 & 0b11, data_coding)
        case 0xC | 0xD:
            return _GSM_CLASS
        case 0xE:
            return _UCS2_CLASS
        case 0xF:
            return _BINARY_CLASS if data_coding & 0b100 else _GSM_CLASS
        case _:
            return data_coding


def _default(octets: bytes, alphabet: Alphabet, header_octets: int) -> str:
    match alphabet:
        case Alphabet.GSM7:
            return texts.gsm_text(octets)
        case Alphabet.GSM7_PACKED:
            return gsm.decode(_unpacked(octets, header_octets))
        case Alphabet.LATIN1 | Alphabet.ASCII:
            return octets.decode("latin-1")


def _unpacked(octets: bytes, header_octets: int) -> bytes:
    """Without what fills the last octet: a carriage return, or with a careless sender zeros, which are an `@`.

    A part that is full may well end in an `@` of its own.
    """
    fill = fill_bits(header_octets)
    septets = gsm.unpack(octets, fill_bits=fill)
    is_filled = bool(septets) and (gsm.OCTET_BITS * len(octets) - fill) % gsm.SEPTET_BITS == 0
    is_full = header_octets + len(octets) >= MAX_USER_DATA
    if is_filled and (septets[-1] == gsm.CARRIAGE_RETURN or (septets[-1] == 0 and not is_full)):
        return septets[:-1]
    return septets


def _readable(octets: bytes) -> str:
    """Some carriers declare texts as 8-bit data."""
    text = texts.utf8_or_latin1(octets)
    if not all(each.isprintable() or each in "\t\n\r" for each in text):
        raise ValueError("the message is binary data, not a text")
    return text


def _codec(name: str) -> Callable[[bytes], str]:
    return lambda octets: octets.decode(name, "replace")


# The codings of SMPP 3.4, section 5.2.19, but for 0 and what it reserves, which are read as the default alphabet.
_READERS: Final[Mapping[int, Callable[[bytes], str]]] = {
    1: texts.ascii_or_gsm,
    2: _readable,
    3: _codec("latin-1"),
    4: _readable,
    5: _codec("shift_jis"),
    6: _codec("iso8859-5"),
    7: _codec("iso8859-8"),
    8: texts.utf16,
    10: _codec("iso2022_jp"),
    14: _codec("euc_kr"),
}
# Of the codings whose characters may have several octets.
_CHARSETS: Final[Mapping[int, str]] = {
    1: texts.ASCII_OR_GSM,
    2: texts.UTF_8,
    4: texts.UTF_8,
    5: "shift_jis",
    10: "iso2022_jp",
    14: "euc_kr",
}
