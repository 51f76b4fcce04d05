"""What a text may be sent from: a number in E.164, a short code, or a name.

Numbers and short codes can receive replies, a name cannot. Names are compared as they are written: phones show them so, and
carriers register them so.
"""

import re
from enum import StrEnum
from typing import Final

from providers import numbers
from providers.numbers import InvalidNumber

MAX_NAME = 11  # of an alphanumeric sender: 3GPP TS 23.040 has room for 11 septets
# The characters of one septet that can be seen, and the space (3GPP TS 23.038).
GSM_PRINTABLE: Final = frozenset(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_SHORT_CODE = re.compile(rf"[0-9]{{3,{numbers.MAX_SHORT_CODE}}}")


class InvalidSender(ValueError):
    """`code` is `invalid_sender`, `invalid_number` or `impossible_number`; the message is for users."""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


def normalise(raw: str) -> str:
    """Convert a number to E.164; a short code or a name loses only the spaces around it. Raises `InvalidSender`."""
    text = raw.strip()
    if any(character.isalpha() for character in text) and not text.startswith("+"):
        if len(text) > MAX_NAME or not GSM_PRINTABLE.issuperset(text):
            raise InvalidSender(
                f"A sender's name has at most {MAX_NAME} characters, all of the GSM alphabet.", code="invalid_sender"
            )
        return text
    if _SHORT_CODE.fullmatch(text):
        return text
    try:
        return numbers.normalise(raw)
    except InvalidNumber as error:
        raise InvalidSender(str(error), code=error.code) from None


class SenderKind(StrEnum):
    NUMBER = "number"
    SHORT_CODE = "short_code"
    NAME = "name"


def kind_of(sender: str) -> SenderKind:
    """Of a sender as `normalise` returns it."""
    if sender.startswith("+"):
        return SenderKind.NUMBER
    return SenderKind.SHORT_CODE if _SHORT_CODE.fullmatch(sender) else SenderKind.NAME
