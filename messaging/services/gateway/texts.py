"""Texts of submissions: octets and `data_coding` to text."""

from messaging.services.errors import InvalidField
from providers.smpp.decoding import decode
from providers.smpp.text import Alphabet

# What a client means by data_coding 0, the alphabet of the server: GSM 03.38, one octet each.
DEFAULT_ALPHABET = Alphabet.GSM7


def read(octets: bytes, data_coding: int) -> str:
    """Raises `InvalidField` for a coding that is no text, a blank text, and octets that are no text of this coding."""
    try:
        text = decode(octets, data_coding, DEFAULT_ALPHABET)
    except ValueError:
        raise InvalidField("message", "unreadable", "The octets are no text of this data_coding.") from None
    if not text.strip():
        raise InvalidField("message", "blank", "The text is blank.")
    return text
