"""The numbers of a list as people have them: national ones of a named country, and several in one cell."""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

from messaging.e164 import InvalidNumber, normalise
from providers.numbers import COUNTRIES, MIN_DIGITS, Notation, NumberFormat, canonical, plain

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

    Digits that are two numbers of the country, with and without its country code, are the one that is a mobile number, or none.

    Raises `InvalidNumber`; the codes besides those of `normalise` are `rounded_number`, `country_missing` and
    `ambiguous_number`.
    """
    try:
        return ListedNumber(_read_one(raw, country))
    except InvalidNumber:
        if (chosen := _first_mobile(raw, country)) is not None:
            return chosen
        raise


def _read_one(raw: str, country: str) -> str:
    if _has_several(raw):
        raise InvalidNumber("There are several numbers, and none of them is complete.", code="invalid_number")
    try:
        return normalise(raw)
    except InvalidNumber:
        text = raw.strip()
        if len(text) > MAX_CELL:
            raise
        if _ROUNDED.fullmatch(text):
            detail = "The spreadsheet has rounded this number; format the column as text there, and export it again."
            raise InvalidNumber(detail, code="rounded_number") from None
        if text.startswith("+") or not any(character.isdigit() for character in text):
            raise
        if not country:
            detail = "Give the number with + and its country code, or say the list's country (default_country)."
            raise InvalidNumber(detail, code="country_missing") from None
        if (number := _with_country_code(raw, country) or _national(raw, country)) is None:
            raise InvalidNumber(f"This is not a number of {country}.", code="invalid_number") from None
        return number


def _with_country_code(raw: str, country: str) -> str | None:
    """The number that is written with its country code, but without a plus, where national numbers begin with 0.

    A spreadsheet drops that 0, so the digits may be the whole national number too. Raises `InvalidNumber` for two numbers of
    which neither or both are mobile.
    """
    digits = plain(raw)
    plan = phonenumbers.PhoneMetadata.metadata_for_region(country)
    if plan is None or plan.national_prefix != "0" or not digits.startswith(str(plan.country_code)):
        return None
    found = [number for number in (f"+{digits}", f"+{plan.country_code}{digits}") if _is_assigned(number)]
    if len(found) > 1 and len(found := [number for number in found if _is_mobile(number)]) != 1:
        detail = f"This could be two numbers of {country}; write it with + and the country code, or with its zero."
        raise InvalidNumber(detail, code="ambiguous_number")
    return canonical(found[0]) if found else None


def _national(raw: str, country: str) -> str | None:
    """The number as it is dialled within the country. Without the 0 that a spreadsheet drops it has to be an assigned one."""
    number = _format(country).read(raw)
    plan = phonenumbers.PhoneMetadata.metadata_for_region(country)
    has_lost_zero = plan is not None and plan.national_prefix == "0" and not plain(raw).startswith("0")
    return number if number is None or not has_lost_zero or _is_assigned(number) else None


def _is_assigned(number: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number)) and canonical(number) is not None
    except phonenumbers.NumberParseException:
        return False


def _is_mobile(number: str) -> bool:
    return phonenumbers.number_type(phonenumbers.parse(number)) in _MOBILE


def _has_several(raw: str) -> bool:
    """Whether a slash, which is also written within numbers, stands between two of them."""
    pieces = [plain(piece) for piece in raw.split("/")] if "/" in raw and len(raw) <= MAX_CELL else []
    return len(pieces) > 1 and all(piece.startswith(("+", "0")) and len(piece) >= MIN_DIGITS for piece in pieces)


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
    return ListedNumber(next(filter(_is_mobile, found), found[0]), of=len(pieces))
