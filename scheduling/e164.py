"""`messaging.e164.to_e164` for long lists: most numbers are in E.164 already, and that is quickly seen.

The library takes about 40 µs for a number, most of it for notations that such a number does not have. What is decided here
is only that `to_e164` would give the number back unchanged; anything else is left to it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from messaging.e164 import normalise

_DIGITS = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_LONGEST_COUNTRY_CODE = 3


class _Plan(NamedTuple):
    """What follows a `+` and a country code: the lengths that are possible, and how a number may begin that is rewritten."""

    digits: int
    lengths: frozenset[int]
    rewritten: re.Pattern[str] | None


def normalised(raw: str) -> str:
    """Equal to `to_e164(raw)` in every answer and every error."""
    if _DIGITS.fullmatch(raw):
        plan = _plan(raw[1 : 1 + _LONGEST_COUNTRY_CODE])
        if plan is not None and len(raw) - plan.digits - 1 in plan.lengths and not _may_change(raw, plan):
            return raw
    return normalise(raw)


def _may_change(raw: str, plan: _Plan) -> bool:
    begin = plan.digits + 1
    if raw[begin] == "0":
        return True  # a national prefix, or one of the zeros that belong to the number (Italy)
    if plan.rewritten is None:
        return False
    found = plan.rewritten.match(raw[begin:])
    return found is not None and (found.end() > 0 or found.lastindex is not None)


@lru_cache(maxsize=1000)
def _plan(begin: str) -> _Plan | None:
    """Of the country whose code these three digits begin with; no code is the beginning of another."""
    for digits in range(1, _LONGEST_COUNTRY_CODE + 1):
        code = int(begin[:digits])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            region = phonenumbers.region_code_for_country_code(code)
            metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            lengths = metadata.general_desc.possible_length + metadata.general_desc.possible_length_local_only
            prefix = metadata.national_prefix_for_parsing
            return _Plan(digits, frozenset(lengths), re.compile(prefix) if prefix else None)
    return None
