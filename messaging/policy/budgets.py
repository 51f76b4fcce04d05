"""The arithmetic of budgets: their periods, in UTC, and how what is left is spread over the slots of a counter.

Amounts are whole numbers: segments, or millionths of a currency's unit, which both databases add without rounding.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

MICRO = Decimal(1_000_000)
WARN_PERCENT = 80


class BudgetPeriod(StrEnum):
    DAY = "day"
    MONTH = "month"


def start_of(period: str, now: datetime) -> date:
    """The first day of the period, by the calendar of UTC."""
    today = now.astimezone(UTC).date()
    return today if period == BudgetPeriod.DAY else today.replace(day=1)


def end_of(period: str, start: date) -> datetime:
    """When the period ends and the next one begins."""
    following = start + timedelta(days=1 if period == BudgetPeriod.DAY else 32)
    first = following if period == BudgetPeriod.DAY else following.replace(day=1)
    return datetime.combine(first, time(), UTC)


def to_units(amount: Decimal, currency: str) -> int:
    """Segments as they are; money in millionths, rounded up, so that a budget is never passed by rounding."""
    return int((amount * MICRO if currency else amount).to_integral_value(ROUND_CEILING))


def to_amount(units: int, currency: str) -> Decimal:
    return Decimal(units) / MICRO if currency else Decimal(units)


def warns_at(limit: int) -> int:
    """The least use that is at least 80 % of the limit."""
    return -(-limit * WARN_PERCENT // 100)


def grants(used: Sequence[int], *, limit: int, warned: bool) -> list[int]:
    """Up to which use each slot takes charges on its own; the slots are in the order of `used`.

    All together they take no more than the limit and, until the owner has been warned, stay below 80 % of it: the charge that
    passes a threshold locks all slots, which is how it is noticed. Where nothing is left no slot takes anything, also not what
    is given back to it: the total may be above a limit that was lowered.
    """
    left = (limit if warned else warns_at(limit) - 1) - sum(used)
    if left <= 0:
        return [0] * len(used)
    share, extra = divmod(left, len(used))
    return [each + share + (1 if place < extra else 0) for place, each in enumerate(used)]
