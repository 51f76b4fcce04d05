"""Counts the segments of a text: GSM 03.38 (7 bit) if its alphabet suffices, else UCS-2.

A single segment holds 160 septets or 70 UTF-16 units. A longer text is split into parts of 153 or 67, because each part has
a header that joins them. A character of the extension table takes 2 septets, one beyond the Basic Multilingual Plane 2 UTF-16
units; neither pair may be split.
Source: 3GPP TS 23.038 (alphabets) and TS 23.040 (concatenation).
"""

from enum import StrEnum
from typing import NamedTuple

from providers.senders import GSM_PRINTABLE

MAX_SEGMENTS = 10
MAX_OUTBOUND_CHARACTERS = 1530  # ten segments of 153 septets


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


GSM_BASIC = GSM_PRINTABLE | {"\n", "\r"}
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")

_GSM_ALL = GSM_BASIC | GSM_EXTENSION
_GSM_BASIC_ASCII = "".join(filter(str.isascii, GSM_BASIC)).encode()
_LAST_OF_BMP = 0xFFFF
_LIMITS = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}


class SegmentCount(NamedTuple):
    encoding: Encoding
    units: int
    segments: int


def measure(text: str) -> SegmentCount:
    """Return the encoding, the length in septets or UTF-16 units, and the number of segments. An empty text has one."""
    if _is_gsm_basic(text):
        return _uniform(Encoding.GSM7, len(text))
    if _GSM_ALL.issuperset(text):
        return _mixed(Encoding.GSM7, _septets(text))
    if len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text):
        return _uniform(Encoding.UCS2, len(text))
    return _mixed(Encoding.UCS2, _utf16_units(text))


def _is_gsm_basic(text: str) -> bool:
    """Most texts are ASCII, for which `bytes.translate` is ten times as fast as the set."""
    return not text.encode().translate(None, _GSM_BASIC_ASCII) if text.isascii() else GSM_BASIC.issuperset(text)


def _uniform(encoding: Encoding, units: int) -> SegmentCount:
    """Count a text in which every character takes one unit, so that no part has to stay shorter."""
    single, part = _LIMITS[encoding]
    return SegmentCount(encoding, units, 1 if units <= single else -(-units // part))


def _mixed(encoding: Encoding, sizes: list[int]) -> SegmentCount:
    single, part = _LIMITS[encoding]
    units = sum(sizes)
    return SegmentCount(encoding, units, 1 if units <= single else _parts(sizes, part))


def _septets(text: str) -> list[int]:
    return [2 if character in GSM_EXTENSION else 1 for character in text]


def _utf16_units(text: str) -> list[int]:
    return [2 if ord(character) > _LAST_OF_BMP else 1 for character in text]


def _parts(sizes: list[int], capacity: int) -> int:
    parts, used = 1, 0
    for size in sizes:
        if used + size > capacity:
            parts, used = parts + 1, 0
        used += size
    return parts
