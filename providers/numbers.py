"""How providers write phone numbers. Inside they are E.164 text, in one canonical form for both directions.

A number is never guessed: what the account's notation does not say is not read, because it could be somebody else's number.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

MAX_INPUT = 64
MAX_E164 = 16  # `+` and 15 digits; the library's tables allow longer numbers in some countries
COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
_PUNCTUATION = frozenset(" ()-./\u00a0\u2010\u2011\u2012\u2013\u2212")


class Notation(StrEnum):
    """How a provider writes numbers, in requests and in callbacks."""

    E164 = "e164"
    DIGITS = "digits"
    DOUBLE_ZERO = "00"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A notation, and the country of the numbers that name none (two letters)."""

    notation: Notation = Notation.E164
    country: str | None = None

    def read(self, raw: str) -> str | None:
        """The number in E.164; None for what is not a number in this notation, such as a short code or a name."""
        text = raw.strip()
        digits = "".join(character for character in text.removeprefix("+") if character not in _PUNCTUATION)
        if len(text) > MAX_INPUT or not (digits.isascii() and digits.isdigit()):
            return None
        if text.startswith("+") or (self.notation is Notation.DIGITS and not digits.startswith("0")):
            return canonical(f"+{digits}")
        if digits.startswith("00"):
            return canonical(f"+{digits[2:]}")
        return canonical(digits, self.country) if self.country else None

    def write(self, number: str) -> str:
        """The number (E.164) in this notation; short codes and names stay as they are."""
        if not number.startswith("+"):
            return number
        match self.notation:
            case Notation.E164:
                return number
            case Notation.DIGITS:
                return number[1:]
            case Notation.DOUBLE_ZERO:
                return f"00{number[1:]}"
            case Notation.NATIONAL:
                return self._national(number)

    def _national(self, number: str) -> str:
        """Without the country code, for numbers of the account's own country; `00` and all digits for others."""
        parsed = phonenumbers.parse(number, None)
        if phonenumbers.country_code_for_region(self.country or "") != parsed.country_code:
            return f"00{number[1:]}"
        national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
        return "".join(character for character in national if character.isdigit())


def canonical(text: str, country: str | None = None) -> str | None:
    """The number in E.164, if it is possible as it is dialled from abroad; None otherwise.

    `text` has a leading plus, or is a national number of `country`.
    """
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) is not ValidationResult.IS_POSSIBLE:
        return None
    result = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return result if len(result) <= MAX_E164 else None
