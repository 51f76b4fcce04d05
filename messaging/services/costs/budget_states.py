"""How many budgets are nearly or wholly used up in their present period."""

from datetime import datetime

from django.db.models import F, Q, Sum

from messaging.models import BudgetSlot
from messaging.policy.budgets import BudgetPeriod, start_of, warns_at

NEAR, SPENT = "near", "spent"


def counts(*, now: datetime) -> dict[str, int]:
    """By state: `near` from 80 % on, `spent` at 100 %. One query."""
    present = Q()
    for period in BudgetPeriod:
        present |= Q(budget__period=period, period_start=start_of(period, now))
    rows = BudgetSlot.objects.filter(present).order_by().annotate(limit=F("budget__limit_units"))
    found = {NEAR: 0, SPENT: 0}
    for _, limit, used in rows.values_list("budget_id", "limit").annotate(total=Sum("used")):
        if used >= limit:
            found[SPENT] += 1
        elif used >= warns_at(limit):
            found[NEAR] += 1
    return found
