"""Spellings of one provider message id.

A receipt may write the id of the response in another case, with or without leading zeros and `0x`, or in the other of the two
bases that SMPP servers use: the response has `0x1F` and the receipt `31`, or the other way round.
"""

import re
from enum import IntEnum

from django.db.models import CharField, Func
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower

PADDING = "0x"
# Longer ones are no numbers that a counter has reached.
MAX_DIGITS = 32

_HEXADECIMAL = re.compile(rf"[0-9a-f]{{1,{MAX_DIGITS}}}")
_DECIMAL = re.compile(rf"[0-9]{{1,{MAX_DIGITS}}}")


class Likeness(IntEnum):
    """How well two ids agree, best first."""

    EXACT = 0
    FOLDED = 1
    OTHER_BASE = 2


def key(id_column: str | Combinable) -> Func:
    """`fold` as an expression of the database, as the indexes have it."""
    return Func(
        Lower(id_column),
        function="LTRIM",
        template=f"%(function)s(%(expressions)s, '{PADDING}')",
        output_field=CharField(),
    )


def fold(given: str) -> str:
    """The id in lower case without leading zeros and `0x`; empty for one that is not ASCII, of which databases differ."""
    return given.lower().lstrip(PADDING) if given.isascii() else ""


def as_hexadecimal(given: str) -> str:
    """The folded id in hexadecimal, if it can be a decimal number; else empty."""
    folded = fold(given)
    if not _DECIMAL.fullmatch(folded) or given.lower().startswith("0x"):
        return ""
    return f"{int(folded):x}"


def as_decimal(given: str) -> str:
    """The folded id in decimal, if it can be a hexadecimal number; else empty."""
    folded = fold(given)
    return str(int(folded, 16)) if _HEXADECIMAL.fullmatch(folded) else ""


def keys(given: str) -> set[str]:
    """The keys of all ids that this one may be a spelling of; the id itself if it has no other spellings."""
    return ({fold(given), as_hexadecimal(given), as_decimal(given)} - {""}) or {given}


def likeness(one: str, other: str) -> Likeness | None:
    """None if these are two ids, as are two numbers of which neither shows that it is hexadecimal: a counter gives both."""
    if one == other:
        return Likeness.EXACT
    if not fold(one) or fold(one) not in keys(other) or fold(other) not in keys(one):
        return None
    if fold(one) == fold(other):
        return Likeness.FOLDED
    return Likeness.OTHER_BASE if _shows_base(one) or _shows_base(other) else None


def _shows_base(given: str) -> bool:
    return given.lower().startswith("0x") or not _DECIMAL.fullmatch(fold(given))
