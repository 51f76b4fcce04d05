"""Octets of incoming texts and the characters that they mean.

Networks pass on what others got wrong, and a reply must not be lost for it: octets that fit no alphabet are read by the nearest
one that they fit.
"""

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from providers import gsm

UTF_16, UTF_8, GSM, ASCII_OR_GSM = "utf-16-be", "utf-8", "gsm", "ascii-or-gsm"
_ASCII_CONTROLS = frozenset(b"\t\n\r")
_FIRST_PRINTABLE, _FIRST_NON_ASCII = 0x20, 0x80
_CONTINUATIONS, MAX_CONTINUATIONS = bytes(range(0x80, 0xC0)), 3
HALF: Final = "\ufffd"  # what is shown of a character without its other half
_LITTLE_ENDIAN_MARK, _BIG_ENDIAN_MARK = b"\xff\xfe", b"\xfe\xff"


def join(octets: Sequence[bytes], charset: str) -> str:
    """The text of consecutive parts of one text, without characters that cannot be stored.

    Networks cut a text between any two octets, so that a character, and GSM's escape and what it escapes, may stand in two
    parts. `charset` is one of `READERS`, or a codec of Python.
    """
    if charset == UTF_16 and sum(map(len, octets)) % 2:
        octets = [each[: len(each) // 2 * 2] for each in octets]  # an odd octet that belongs to nothing
    joined = b"".join(octets)
    reader = READERS.get(charset)
    text = joined.decode(charset, "replace") if reader is None else reader(joined)
    return text.replace("\x00", "")


def gsm_text(octets: bytes) -> str:
    """Octets above 127 are none of GSM's: some message centres put UTF-8 or Latin-1 there."""
    if max(octets, default=0) < _FIRST_NON_ASCII:
        return gsm.decode(octets)
    return utf8_or_latin1(octets)


def ascii_or_gsm(octets: bytes) -> str:
    """ASCII by the standard, but node-smpp sends GSM octets here. A control character that no text has tells them apart."""
    if any(octet < _FIRST_PRINTABLE and octet not in _ASCII_CONTROLS for octet in octets):
        return gsm_text(octets)
    return utf8_or_latin1(octets)


def utf16(octets: bytes) -> str:
    """UTF-16BE. A last odd octet, a byte order mark and half a surrogate pair do no harm."""
    whole = big_endian(octets)
    return whole[: len(whole) // 2 * 2].decode("utf-16-be", "replace")


def big_endian(octets: bytes) -> bytes:
    """UTF-16 without its byte order mark, the higher octet first."""
    if octets.startswith(_LITTLE_ENDIAN_MARK):
        even = octets[2 : len(octets) // 2 * 2]
        return b"".join(even[at : at + 2][::-1] for at in range(0, len(even), 2))
    return octets.removeprefix(_BIG_ENDIAN_MARK)


def utf8_or_latin1(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return _torn_utf8(octets) or octets.decode("latin-1")


def _torn_utf8(octets: bytes) -> str:
    """UTF-8 of which one or both edges are within a character, whose other half is missing; empty for any other octets.

    A text whose only octets above 127 are at its edges is more likely Latin-1.
    """
    whole = octets.lstrip(_CONTINUATIONS)
    cut = len(octets) - len(whole)
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(whole)  # without an unfinished character at the end
    if cut > MAX_CONTINUATIONS or HALF in text or text.isascii():
        return ""
    is_cut_at_the_end = len(text.encode()) < len(whole)
    return f"{HALF if cut else ''}{text}{HALF if is_cut_at_the_end else ''}"


def _utf8(octets: bytes) -> str:
    """UTF-8, also with the halves of a surrogate pair one by one, as programs write it that know UTF-16 only."""
    try:
        text = octets.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return _torn_utf8(octets) or octets.decode("latin-1")
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


READERS: Final[Mapping[str, Callable[[bytes], str]]] = {
    UTF_16: utf16,
    UTF_8: _utf8,
    GSM: gsm_text,
    ASCII_OR_GSM: ascii_or_gsm,
}
