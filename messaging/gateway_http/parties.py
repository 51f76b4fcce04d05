"""Numbers and senders as clients of gateways write them. Never guessed: a number is in international notation."""

import re
from typing import Final

from messaging import e164
from messaging.services.errors import InvalidField
from providers import senders
from providers.numbers import MAX_SHORT_CODE

_NUMBER: Final = re.compile(r"(\+|00|)([0-9][0-9-]{2,24})")
_DIGITS: Final = re.compile(r"(\+|00|)([0-9]{1,20})")


def read_recipient(text: str) -> tuple[str, str]:
    """Return the number in E.164, and how the client wrote it: with `+`, with `00`, or empty for digits only.

    Raises `InvalidField`.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise InvalidField("to", "invalid_recipient", "The number has digits only, and a plus.")
    try:
        return e164.normalise(f"+{found[2].replace('-', '')}"), found[1]
    except e164.InvalidNumber as error:
        raise InvalidField("to", "invalid_recipient", str(error)) from None


def read_sender(text: str) -> str | None:
    """As senders are stored; None for the owner's default. The sender has to be one of the owner's. Raises `InvalidField`."""
    text = text.strip()
    if not text:
        return None
    if found := _DIGITS.fullmatch(text):
        is_short = not found[1] and len(text) <= MAX_SHORT_CODE
        text = text if is_short else f"+{found[2]}"
    try:
        return senders.normalise(text)
    except senders.InvalidSender as error:
        raise InvalidField("from", "invalid_sender", str(error)) from None
