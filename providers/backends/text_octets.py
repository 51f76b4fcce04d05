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


class OctetsMapping(Part):
    """`path` has the octets, hexadecimal or percent-encoded; `charset` has the provider's name of the charset.

    A text in a charset that is not in `charsets` is read as a text.
    """

    path: Path
    notation: Literal["hex", "percent"] = Field(alias="as")
    charset: Path
    charsets: Annotated[Mapping[CharsetName, Charset], Field(min_length=1)]


def decode(octets: Any, charset: Charset, notation: Literal["hex", "percent"]) -> str:
    """Raises `ValueError` for octets that are none in this notation, or no text in this charset."""
    raw = NOTATIONS[notation](octets)
    return gsm.decode(raw) if charset == "gsm" else raw.decode(charset)


def _from_percent(value: Any) -> bytes:
    text = storable_text(value)
    if text is None:
        raise ValueError("not a text")
    return unquote_to_bytes(text.replace("+", " "))


NOTATIONS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "hex": lambda value: bytes.fromhex(scalar(value)),
    "percent": _from_percent,
}
