"""Incoming texts whose octets a provider hands over as they came from the network, with the name of their charset."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_to_bytes

from pydantic import Field, StringConstraints

from providers import gsm
from providers.backends.payload import scalar, storable_text
from providers.contract.config_types import Part, Path

Charset = Literal["gsm", "ascii", "latin-1", "utf-8", "utf-16-be"]
# The empty name is for texts without one.
CharsetName = Annotated[str, StringConstraints(max_length=64)]


Notation = Literal["hex", "percent", "raw"]
# How Python writes an octet that is no text ("surrogateescape").
ESCAPED_OCTETS: Final = 0xDC00


class OctetsMapping(Part):
    """`path` has the octets; `charset` has the provider's name of the charset.

    They are hexadecimal, percent-encoded, or the raw value of a form or query, which is no text in the form's own charset.
    A charset's name that is a single octet and no text (Jasmin) counts as the octet's number.
    A text in a charset that is not in `charsets` is read as a text.
    """

    path: Path
    notation: Notation = Field(alias="as")
    charset: Path
    charsets: Annotated[Mapping[CharsetName, Charset], Field(min_length=1)]


def charset_name(value: Any) -> str:
    """The name; the number of the octet where the name is one octet that is no text."""
    if isinstance(value, str) and len(value) == 1 and not value.isprintable():
        code = ord(value)
        return str(code - ESCAPED_OCTETS if ESCAPED_OCTETS <= code <= ESCAPED_OCTETS + 0xFF else code)
    return scalar(value)


def decode(raw: bytes, charset: str) -> str:
    """Raises `ValueError` for octets that are no text in this charset."""
    return gsm.decode(raw) if charset == "gsm" else raw.decode(charset)


def _from_percent(value: Any) -> bytes:
    text = storable_text(value)
    if text is None:
        raise ValueError("not a text")
    return unquote_to_bytes(text.replace("+", " "))


def _raw(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 (callers catch one class)
    return value.encode("utf-8", "surrogateescape")


NOTATIONS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "hex": lambda value: bytes.fromhex(scalar(value)),
    "percent": _from_percent,
    "raw": _raw,
}
