"""Parses phone numbers at the edge; inside they are E.164 text."""

import phonenumbers

MAX_INPUT = 64
MAX_E164 = 16  # `+` and 15 digits; the library's tables allow longer numbers in some countries
_PUNCTUATION = frozenset(" ()-./\u00a0\u2010\u2011\u2012\u2013\u2212")


class InvalidNumber(ValueError):
    """`code` is `invalid_number` or `impossible_number`; the message is for users."""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


def normalise(raw: str) -> str:
    """Convert any common notation with a leading + to E.164. Raises `InvalidNumber` for impossible numbers.

    The test is *possible* (length and country), not *assigned*: numbering plans change faster than any library's tables. A text
    to an unassigned number ends as undelivered, whereas refusing an assigned number would lose a message.
    """
    text = raw.strip()
    if len(text) > MAX_INPUT or not text.startswith(("+", "\uff0b")):
        raise InvalidNumber(
            "Give the number in international notation, starting with + and the country code.", code="invalid_number"
        )
    if any(not (character.isdecimal() or character in _PUNCTUATION) for character in text[1:]):
        raise InvalidNumber("A phone number has only digits, spaces and punctuation.", code="invalid_number")
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise InvalidNumber(
            "There is no such country code, or the number is too long.", code="invalid_number"
        ) from error
    normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(normal) > MAX_E164 or not phonenumbers.is_possible_number(number):
        raise InvalidNumber("This number cannot exist: its length does not fit its country.", code="impossible_number")
    return normal
