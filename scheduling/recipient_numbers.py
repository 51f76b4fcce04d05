"""The numbers of a list as people have them: national ones of a named country, and several in one cell."""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from messaging.e164 import InvalidNumber, normalise
from providers.numbers import COUNTRIES, Notation, NumberFormat, canonical, plain

_BETWEEN = re.compile(r":::|[;/|\n]")
MAX_IN_CELL = 10
MAX_CELL = 500
# A spreadsheet has taken the number for a quantity and dropped its last digits.
_ROUNDED = re.compile(r"\+?\d(?:[.,]\d+)?[eE]\+?\d+")
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


class ListedNumber(NamedTuple):
    """A number in E.164, and of how many in its cell it was chosen."""

    number: str
    of: int = 1


def is_country(code: str) -> bool:
    """Whether it is a country's code of two capital letters, as in `DE`."""
    return code in COUNTRIES


def read(raw: str, country: str = "") -> ListedNumber:
    """Read a cell: a number with +, or with `country` as it is written there. Of several, the first mobile one is taken.

    Raises `InvalidNumber`; the codes besides those of `normalise` are `rounded_number` and `country_missing`.
    """
    try:
        return ListedNumber(_read_one(raw, country))
    except InvalidNumber:
        if (chosen := _first_mobile(raw, country)) is not None:
            return chosen
        raise


def _read_one(raw: str, country: str) -> str:
    try:
        return normalise(raw)
    except InvalidNumber:
        text = raw.strip()
        if _ROUNDED.fullmatch(text):
            detail = "The spreadsheet has rounded this number; format the column as text there, and export it again."
            raise InvalidNumber(detail, code="rounded_number") from None
        if text.startswith("+") or not any(character.isdigit() for character in text):
            raise
        if not country:
            detail = "Give the number with + and its country code, or say the list's country (default_country)."
            raise InvalidNumber(detail, code="country_missing") from None
        if (number := _with_country_code(raw, country) or _format(country).read(raw)) is None:
            raise InvalidNumber(f"This is not a number of {country}.", code="invalid_number") from None
        return number


def _with_country_code(raw: str, country: str) -> str | None:
    """The number that is written with its country code, but without a plus, where national numbers begin with 0."""
    digits = plain(raw)
    plan = phonenumbers.PhoneMetadata.metadata_for_region(country)
    if plan is None or plan.national_prefix != "0" or not digits.startswith(str(plan.country_code)):
        return None
    number = canonical(f"+{digits}")
    return number if number is not None and phonenumbers.is_valid_number(phonenumbers.parse(number)) else None


@lru_cache(maxsize=300)
def _format(country: str) -> NumberFormat:
    return NumberFormat(Notation.NATIONAL, country)


def _first_mobile(raw: str, country: str) -> ListedNumber | None:
    if len(raw) > MAX_CELL:
        return None
    pieces = [piece for piece in _BETWEEN.split(raw) if piece.strip()]
    if not 1 <= len(pieces) <= MAX_IN_CELL or pieces == [raw]:
        return None
    found = []
    for piece in pieces:
        try:
            found.append(_read_one(piece, country))
        except InvalidNumber:
            continue
    if not found:
        return None
    mobile = (number for number in found if phonenumbers.number_type(phonenumbers.parse(number)) in _MOBILE)
    return ListedNumber(next(mobile, found[0]), of=len(pieces))
