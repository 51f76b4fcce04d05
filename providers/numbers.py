"""Phone numbers. Inside they are E.164 text, in one canonical form for both directions.

A number is never guessed: what is not written in international notation, or in the account's own, is not read, because it could
be somebody else's number.
"""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

MAX_INPUT = 64
MAX_E164 = 16  # `+` and 15 digits; the library's tables allow longer numbers in some countries
# The shortest mobile numbers of the world (Niue, Tokelau) have 7 digits with their country code. The library's tables also
# allow shorter numbers, which cannot get a text.
MIN_DIGITS = 7
MAX_SHORT_CODE = 8
MAX_LOCAL_SHORT_CODE = 6  # in countries without a trunk prefix, whose numbers may have 7 or 8 digits
_LONGEST_COUNTRY_CODE = 3
COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)

_PUNCTUATION = frozenset("\t()[]./\u2212\u30fc\uff08\uff09\uff0e\uff0f")
_IGNORED_CATEGORIES = frozenset({"Cf", "Zs", "Pd"})  # invisible marks, spaces, dashes
_APOSTROPHES = ("'", "\u2018", "\u2019")  # spreadsheets write one before a number to keep it a text
_FULLWIDTH_PLUS = "\uff0b"
# What `plain` removes from ASCII text, which nearly all numbers are: `str.translate` takes a tenth of the time of the loop.
_REMOVED_ASCII: Final = {
    code: None
    for code in range(128)
    if chr(code) in _PUNCTUATION or unicodedata.category(chr(code)) in _IGNORED_CATEGORIES
}

# National numbers with two forms in use, by country code: the form that is not canonical, and what it becomes.
_SECOND_FORMS: Final[Mapping[int, tuple[re.Pattern[str], str]]] = {
    52: (re.compile(r"(?:0?1|04[45])(\d{10})"), r"\1"),  # Mexico had prefixes for mobile numbers until 2019
    # Argentina's mobile numbers have a 9 when they are dialled from abroad. Without it the library, like carriers that use
    # its tables, takes them for fixed lines, which get no texts.
    54: (re.compile(r"([123]\d{9})"), r"9\1"),
}


class InvalidNumber(ValueError):
    """`code` is `invalid_number` or `impossible_number`; the message is for users and never quotes the number."""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


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
        text = plain(raw)
        digits = text.removeprefix("+")
        if len(raw.strip()) > MAX_INPUT or not (digits.isascii() and digits.isdigit()):
            return None
        if text.startswith("+") or (self.notation is Notation.DIGITS and not digits.startswith("0")):
            return canonical(f"+{digits}")
        if digits.startswith("00"):
            return canonical(f"+{digits[2:]}")
        return _read_national(digits, self.country) if self.country else None

    def write(self, number: str) -> str:
        """The number (E.164) in this notation; short codes and names stay as they are."""
        if not is_number(number):
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
        """As it is dialled within the account's country, if it is read as the same number again; else with `00`."""
        parsed = phonenumbers.parse(number, None)
        if phonenumbers.country_code_for_region(self.country or "") == parsed.country_code:
            national = _national_digits(parsed)
            if self.read(national) == number:
                return national
        return f"00{number[1:]}"


def is_number(sender_or_recipient: str) -> bool:
    """Whether it is a number in E.164, not a short code or a name."""
    return sender_or_recipient.startswith("+") and sender_or_recipient[1:].isdigit()


def plain(raw: str) -> str:
    """Remove what numbers are copied and written with: invisible marks, spaces, dashes, brackets, a leading apostrophe.

    All digits become ASCII. What is left need not be a number.
    """
    if raw.isascii():
        return _without_apostrophe(raw.translate(_REMOVED_ASCII))
    kept = []
    for character in raw:
        category = unicodedata.category(character)
        if category == "Nd":
            kept.append(str(unicodedata.decimal(character)))
        elif category not in _IGNORED_CATEGORIES and character not in _PUNCTUATION:
            kept.append("+" if character == _FULLWIDTH_PLUS else character)
    return _without_apostrophe("".join(kept))


def _without_apostrophe(text: str) -> str:
    text = text.strip()
    return text[1:] if text.startswith(_APOSTROPHES) else text


def normalise(raw: str) -> str:
    """Convert any common notation with a leading + to E.164. Raises `InvalidNumber`.

    The test is *possible* (length and country), not *assigned*: numbering plans change faster than any library's tables. A text
    to an unassigned number ends as undelivered, whereas refusing an assigned number would lose a message.
    """
    if is_canonical(raw):
        return raw
    text = _international(raw)
    return text if is_canonical(text) else _normalised(text)


def _international(raw: str) -> str:
    """Return `+` and digits. Raises `InvalidNumber`."""
    text = plain(raw) if len(raw.strip()) <= MAX_INPUT else ""
    if not text.startswith("+"):
        raise InvalidNumber(
            "Give the number in international notation, starting with + and the country code.", code="invalid_number"
        )
    if not (text[1:].isascii() and text[1:].isdigit()):
        raise InvalidNumber("A phone number has only digits, spaces and punctuation.", code="invalid_number")
    return text


def canonical(text: str) -> str | None:
    """`normalise`, with None for what is not a number."""
    with suppress(InvalidNumber):
        return normalise(text)
    return None


def country_of(number: str) -> str:
    """The two letters of the country of a number in E.164; empty for what has none, such as +800 or a short code."""
    with suppress(phonenumbers.NumberParseException):
        region = phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) or ""
        return region if region.isalpha() else ""
    return ""


def is_canonical(text: str) -> bool:
    """True only if `normalise` returns the text unchanged; False means that only the library can tell.

    The library takes 40 times as long, most of it for notations that a number in E.164 does not have.
    """
    form = _unchanged(text[1 : 1 + _LONGEST_COUNTRY_CODE])
    return form is not None and form.fullmatch(text) is not None


@lru_cache(maxsize=1_000)
def _unchanged(first_digits: str) -> re.Pattern[str] | None:
    """Return a pattern for numbers that the library does not rewrite: possible lengths, and no national prefix.

    No country code is the beginning of another one, so at most one of them fits. Countries with a second form have no pattern.
    """
    for length in range(1, _LONGEST_COUNTRY_CODE + 1):
        begin = first_digits[:length]
        code = int(begin) if begin.isascii() and begin.isdigit() else 0
        if str(code) == begin and code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return None if code in _SECOND_FORMS else _unchanged_in(code)
    return None


def _unchanged_in(code: int) -> re.Pattern[str] | None:
    region = phonenumbers.region_code_for_country_code(code)
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if plan is None or plan.general_desc is None:
        return None
    digits = range(MIN_DIGITS - len(str(code)), MAX_E164 - len(str(code)))
    lengths = [f"[0-9]{{{length - 1}}}" for length in plan.general_desc.possible_length if length in digits]
    prefix = f"(?!{plan.national_prefix_for_parsing})" if plan.national_prefix_for_parsing else ""
    return re.compile(rf"\+{code}{prefix}[1-9](?:{'|'.join(lengths)})") if lengths else None


def _normalised(text: str) -> str:
    try:
        number = _parse(text)
    except phonenumbers.NumberParseException as error:
        raise InvalidNumber(
            "There is no such country code, or the number is too long.", code="invalid_number"
        ) from error
    result = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    # A number that is read differently a second time, such as one with two trunk zeros, has no canonical form.
    is_stable = result == text or phonenumbers.format_number(_parse(result), PhoneNumberFormat.E164) == result
    if not is_stable or len(result) > MAX_E164 or len(result) <= MIN_DIGITS or not _is_possible(number):
        raise InvalidNumber("This number cannot exist: its length does not fit its country.", code="impossible_number")
    return result


def _parse(text: str) -> PhoneNumber:
    number = phonenumbers.parse(text, None)
    code = number.country_code or 0
    if code not in _SECOND_FORMS:
        return number
    form, replacement = _SECOND_FORMS[code]
    match = form.fullmatch(phonenumbers.national_significant_number(number))
    return phonenumbers.parse(f"+{code}{match.expand(replacement)}", None) if match else number


def _is_possible(number: PhoneNumber) -> bool:
    """As it is dialled from abroad: numbers that are possible only within a town are not."""
    return phonenumbers.is_possible_number_with_reason(number) is ValidationResult.IS_POSSIBLE


def _read_national(digits: str, country: str) -> str | None:
    """The number that is dialled so within the country; None for a short code, and for what could be two numbers."""
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    if _national_digits(number) == digits:
        # Some countries without a trunk prefix have possible numbers as short as short codes.
        is_read = len(digits) > MAX_LOCAL_SHORT_CODE or phonenumbers.is_valid_number(number)
    else:
        is_read = len(digits) > MAX_SHORT_CODE and not _is_another_number(digits, number)
    return canonical(phonenumbers.format_number(number, PhoneNumberFormat.E164)) if is_read else None


def _is_another_number(digits: str, number: PhoneNumber) -> bool:
    """Whether the digits, read with the country code that they begin with, are an assigned number other than `number`."""
    if not digits.startswith(str(number.country_code)):
        return False
    with suppress(phonenumbers.NumberParseException):
        other = phonenumbers.parse(f"+{digits}", None)
        return other != number and phonenumbers.is_valid_number(other)
    return False


def _national_digits(number: PhoneNumber) -> str:
    """The digits that are dialled within the country, with the trunk prefix where there is one."""
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return "".join(character for character in national if character.isdigit())
