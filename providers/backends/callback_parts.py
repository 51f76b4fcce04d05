"""Parts of long texts that a provider hands over one by one: their places, and characters that stand in two of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Self

from pydantic import model_validator

from providers import octets
from providers.backends.payload import MAX_ID_LENGTH, scalar, storable_text
from providers.backends.text_octets import decode
from providers.contract.config_types import Part, Path
from providers.contract.messages import MessagePart
from providers.errors import MalformedCallback
from providers.smpp.decoding import read_udh

MAX_PARTS = 255
SURROGATES: Final = frozenset(map(chr, range(0xD800, 0xE000)))


class PartMapping(Part):
    """Where a part's place in a long text is: three paths, or that of its user data header (`udh`), in hexadecimal."""

    reference: Path | None = None
    number: Path | None = None
    count: Path | None = None
    udh: Path | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        paths = (self.reference, self.number, self.count)
        if None in paths if self.udh is None else any(paths):
            raise ValueError("needs reference, number and count, or udh alone")
        return self


def place_of(get: Callable[[str | None], Any], mapping: PartMapping | None) -> MessagePart | None:
    """None for a text in one piece, and for a place that makes no sense: such a part is shown on its own.

    `get` returns the value at a path.
    """
    if mapping is None:
        return None
    if mapping.udh is not None:
        return _part_of_header(scalar(get(mapping.udh)))
    reference = scalar(get(mapping.reference))
    number, count = (scalar(get(path)) for path in (mapping.number, mapping.count))
    if not reference or not all(each.isascii() and each.isdigit() and len(each) <= 3 for each in (number, count)):  # noqa: PLR2004
        return None
    is_part = 1 <= int(number) <= int(count) <= MAX_PARTS and int(count) > 1
    return MessagePart(reference[:MAX_ID_LENGTH], int(number), int(count)) if is_part else None


def _part_of_header(header: str) -> MessagePart | None:
    try:
        return read_udh(bytes.fromhex(header)).part
    except ValueError:
        return None


def torn_octets(value: Any, *, is_json: bool) -> tuple[bytes, str] | None:
    """The octets of a text with half a character at an edge: UTF-16 in JSON, UTF-8 in a form; None for any other value."""
    if not isinstance(value, str) or "\x00" in value:
        return None
    if is_json:
        is_torn = SURROGATES.isdisjoint(value[1:-1])
        return (value.encode("utf-16-be", "surrogatepass"), octets.UTF_16) if is_torn else None
    try:
        return value.encode("utf-8", "surrogateescape"), octets.UTF_8  # as `read_form` writes them, one by one
    except UnicodeEncodeError:
        return None


def read_octets(raw: bytes, charset: str, part: MessagePart | None) -> tuple[str | None, MessagePart | None]:
    """The text, None if it cannot be stored; a part keeps its octets. Raises `MalformedCallback` if a whole text is broken."""
    if part is not None and charset in octets.READERS:
        return octets.join([raw], charset), replace(part, octets=raw, charset=charset)
    try:
        return storable_text(decode(raw, charset)), part
    except ValueError:
        raise MalformedCallback("the octets are not a text in their charset") from None
