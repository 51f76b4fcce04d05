"""Which numbers get no text at all: the shipped list of `prefixes.toml`, and what staff allow and block.

The longest prefix that matches decides. A country is less than any prefix within it, and more than its bare calling code.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import phonenumbers
from phonenumbers import PhoneNumberType

from messaging.policy import zones

PREFIX_BLOCKED, PREFIX_HELD = "prefix_blocked", "prefix_held"
# At most ten digits, as in rules of hours: a prefix is no person's number.
PREFIX = re.compile(r"\+[1-9][0-9]{0,9}", re.ASCII)
COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
LONGEST_CODE = 3
_TYPES: Mapping[str, int] = {
    "PREMIUM_RATE": PhoneNumberType.PREMIUM_RATE,
    "SHARED_COST": PhoneNumberType.SHARED_COST,
}


class InvalidPrefixes(ValueError):
    """The file is not as it has to be."""


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """One rule, for a prefix or a country. `owner_id` None: for everybody. `reason` is shown to users."""

    is_allowed: bool
    prefix: str = ""
    country: str = ""
    owner_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NumberKind:
    """Numbers of one type of libphonenumber."""

    type: int
    name: str


@dataclass(frozen=True, slots=True)
class ShippedPrefixes:
    as_of: date
    entries: tuple[PrefixEntry, ...]
    kinds: tuple[NumberKind, ...]


@cache
def shipped() -> ShippedPrefixes:
    """The list of the file. Raises `InvalidPrefixes` unless every row is exactly as it has to be."""
    return parse(tomllib.loads(files(__package__).joinpath("prefixes.toml").read_text("utf-8")))


def parse(document: Mapping[str, Any]) -> ShippedPrefixes:  # Any: TOML has values of several types
    if set(document) != {"as_of", "prefix", "type"} or type(document["as_of"]) is not date:
        raise InvalidPrefixes("The file has a day as_of, and tables named prefix and type.")
    for row in document["prefix"]:
        if set(row) != {"prefix", "name", "source"} or not PREFIX.fullmatch(row["prefix"]):
            raise InvalidPrefixes(f"not a prefix with a name and a source: {row}")
    for row in document["type"]:
        if set(row) != {"type", "name", "source"} or row["type"] not in _TYPES:
            raise InvalidPrefixes(f"not a type with a name and a source: {row}")
    prefixes = [row["prefix"] for row in document["prefix"]]
    if len(set(prefixes)) < len(prefixes):
        raise InvalidPrefixes("Two rows have the same prefix.")
    return ShippedPrefixes(
        document["as_of"],
        tuple(PrefixEntry(False, prefix=row["prefix"], reason=row["name"]) for row in document["prefix"]),
        tuple(NumberKind(_TYPES[row["type"]], row["name"]) for row in document["type"]),
    )


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """The shipped entries and those of an installation, to look numbers up in."""

    entries: tuple[PrefixEntry, ...] = ()
    _by_prefix: dict[tuple[int | None, str], PrefixEntry] = field(init=False, default_factory=dict)
    _by_country: dict[tuple[int | None, str], PrefixEntry] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for entry in (*shipped().entries, *self.entries):  # of two for the same, the installation's own
            if entry.country:
                self._by_country[entry.owner_id, entry.country] = entry
            else:
                self._by_prefix[entry.owner_id, entry.prefix] = entry

    def blocked(self, number: str, owner_id: int | None) -> str:
        """Return why this owner must not text the number (E.164), in words; empty if it may."""
        code = calling_code(number)
        found = self._longest(number, owner_id, code)
        if found is not None and not found.is_allowed:
            return f"{found.country or found.prefix} is blocked" + (f": {found.reason}" if found.reason else "")
        if found is not None and found.prefix and (len(found.prefix) > len(code) or not _is_geographic(code)):
            return ""  # allowed by more than its country: this is also meant for what costs extra
        kind = kind_of(number)
        return f"numbers of this type are blocked: {kind}" if kind else ""

    def _longest(self, number: str, owner_id: int | None, code: str) -> PrefixEntry | None:
        """Of an owner's rule and everybody's for the same prefix the owner's decides."""
        owners = (None,) if owner_id is None else (owner_id, None)
        for length in range(len(number), 1, -1):
            prefix = number[:length]
            if self._by_country and prefix == code:
                country = zones.location_of(number).country
                for owner in owners:
                    if (entry := self._by_country.get((owner, country))) is not None:
                        return entry
            for owner in owners:
                if (entry := self._by_prefix.get((owner, prefix))) is not None:
                    return entry
        return None


def calling_code(number: str) -> str:
    """`+` and the calling code of a number in E.164; empty if it has none."""
    for length in range(2, LONGEST_CODE + 2):
        if _is_code(number[:length]):
            return number[:length]
    return ""


@lru_cache(maxsize=10_000)
def _is_code(text: str) -> bool:
    digits = text[1:]
    return digits.isascii() and digits.isdigit() and int(digits) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE


def _is_geographic(code: str) -> bool:
    return bool(code) and phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code[1:])] != ("001",)


def kind_of(number: str) -> str:
    """The name of the blocked type of a number, such as `premium rate`; empty for all others.

    libphonenumber takes 50 microseconds to tell, so a pattern of its tables sorts out nearly all numbers before.
    """
    pattern = _may_be(calling_code(number))
    return _kind_by_library(number) if pattern is not None and pattern.fullmatch(number) else ""


@lru_cache(maxsize=300)
def _may_be(code: str) -> re.Pattern[str] | None:
    """A pattern that all numbers of the blocked types match, of any region of the calling code."""
    if not code:
        return None
    digits = int(code[1:])
    plans = [
        phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(digits, region)
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[digits]
    ]
    parts = [part for plan in plans if plan is not None for part in (plan.premium_rate, plan.shared_cost)]
    found = [part.national_number_pattern for part in parts if part is not None and part.national_number_pattern]
    return re.compile(rf"\{code}0*(?:{'|'.join(found)})") if found else None


@lru_cache(maxsize=10_000)
def _kind_by_library(number: str) -> str:
    try:
        found = phonenumbers.number_type(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ""
    return next((kind.name for kind in shipped().kinds if kind.type == found), "")
