"""A carrier's own price of a message, read from what it sent: never trusted, and never a reason to refuse the rest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from providers.contract.currencies import CURRENCIES

MAX_PRICE = 1000
PLACES = Decimal("0.000001")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,20})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class CarrierPrice:
    """Of all segments of one message, from 0 to `MAX_PRICE`. An empty currency is that of the account's configuration."""

    amount: Decimal
    currency: str = ""


def read_price(values: Sequence[object], currency: object = None, *, is_debit: bool = False) -> CarrierPrice | None:
    """The sum of these values: one, or one for each part. None without a value, and if any is no price or no currency.

    `is_debit`: the carrier writes what a message costs as a negative amount.
    """
    amounts = [_amount(value) for value in values]
    known = [-each if is_debit else each for each in amounts if each is not None]
    code = currency.strip().upper() if isinstance(currency, str) else ""
    if not known or len(known) < len(amounts) or min(known) < 0 or sum(known) > MAX_PRICE:
        return None
    if code not in CURRENCIES if code else currency not in (None, ""):
        return None
    return CarrierPrice(sum(known, Decimal(0)).quantize(PLACES, ROUND_HALF_UP) + 0, code)


def _amount(value: object) -> Decimal | None:
    """As it is written: a number of JSON, or a text of digits."""
    if isinstance(value, str):
        text = value.strip()
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -MAX_PRICE <= value <= MAX_PRICE:
        return None
    return Decimal(repr(value))
