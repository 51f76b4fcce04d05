"""What messages have taken from budgets, and its return.

It stands below `transitions`, which gives back in the transaction that ends a message. `costs` charges.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from uuid import UUID

from django.db.models import F

from messaging.models import BudgetCharge, BudgetSlot

# The budget, the first day of the period, and the number of the slot.
SlotKey = tuple[UUID, date, int]


def release(messages: Collection[UUID]) -> None:
    """Return what these messages have taken: they have ended, and no carrier has accepted them.

    The caller has locked the messages in an open transaction. A charge is returned by the transaction that deletes it, and so
    once. One query if nothing was taken.
    """
    charges = list(BudgetCharge.objects.filter(message_id__in=messages, is_kept=False))
    if not charges:
        return
    BudgetCharge.objects.filter(pk__in=[charge.pk for charge in charges]).delete()
    amounts: dict[SlotKey, int] = defaultdict(int)
    for charge in charges:
        amounts[charge.budget_id, charge.period_start, charge.number] -= charge.amount
    add(amounts)


def add(amounts: Mapping[SlotKey, int]) -> None:
    """Add to the use of slots: in the order in which all transactions lock them, so that two cannot deadlock."""
    for (budget_id, start, number), amount in sorted(amounts.items()):
        slot = BudgetSlot.objects.filter(budget_id=budget_id, period_start=start, number=number)
        slot.update(used=F("used") + amount)
