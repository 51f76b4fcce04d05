"""Set, change and remove budgets. A change holds at once: it takes the locks that every charge needs."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from messaging.models import Budget, BudgetCharge, BudgetSlot
from messaging.policy.budgets import MICRO, BudgetPeriod, grants, start_of, warns_at
from messaging.services.costs import budget_rules, budgets
from messaging.services.errors import InvalidField
from providers.contract.currencies import CURRENCIES
from providers.numbers import COUNTRIES

MAX_LIMIT = Decimal(1_000_000_000_000)
# Counters and charges of ended periods stay for so long: a message may end, or get its price, after midnight.
KEPT_FOR = timedelta(days=3)
CHUNK = 5_000


def create(*, owner: User, country: str, period: str, limit: Decimal, currency: str, now: datetime) -> Budget:
    """Store a budget. Raises `InvalidField`; then nothing is stored."""
    if country and country not in COUNTRIES:
        raise InvalidField("country", "unknown_country", "This is not a country: two letters, such as DE.")
    if currency and currency not in CURRENCIES:
        raise InvalidField("currency", "unknown_currency", "This is not a currency of ISO 4217, such as EUR.")
    budget = Budget(
        owner=owner,
        country=country,
        period=period,
        currency=currency,
        limit_units=units_of(limit, currency),
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            budget.save(force_insert=True)
            _read_anew()
    except IntegrityError:
        raise InvalidField(
            "period", "exists", "There is a budget of this owner, country, period and currency already; change that."
        ) from None
    return budget


def change_limit(*, budget_id: UUID, limit: Decimal, now: datetime) -> Budget:
    """Raises `Budget.DoesNotExist`, `InvalidField`. Below what is used, it refuses until the period ends or it is raised."""
    with transaction.atomic():
        budget = Budget.objects.get(pk=budget_id)
        start = start_of(budget.period, now)
        # The slots are there and locked before the limit changes, so that no charge goes by the old one afterwards.
        budgets.create_missing([(budget_id, start)])
        present = list(_locked_slots(budget_id).filter(period_start=start))
        budget = Budget.objects.select_for_update().get(pk=budget_id)
        budget.limit_units, budget.updated_at = units_of(limit, budget.currency), now
        used = [slot.used for slot in present]
        if budget.warned_for == start and sum(used) < warns_at(budget.limit_units):
            budget.warned_for = None  # 80 % of the new limit are still to come
        granted = grants(used, limit=budget.limit_units, warned=budget.warned_for == start) if present else []
        for slot, upto in zip(present, granted, strict=True):
            slot.granted = upto
        BudgetSlot.objects.bulk_update(present, ["granted"])
        budget.save(update_fields=["limit_units", "updated_at", "warned_for"])
        _read_anew()
    return budget


def remove(*, budget_id: UUID) -> None:
    """Delete a budget and its counters. Its charges, which return nothing any more, are swept."""
    with transaction.atomic():
        list(_locked_slots(budget_id))
        BudgetSlot.objects.filter(budget_id=budget_id).delete()
        Budget.objects.filter(pk=budget_id).delete()
        _read_anew()


def _read_anew() -> None:
    """Now for this transaction, and after the commit, because another thread may have read the old budgets meanwhile."""
    budget_rules.expire()
    transaction.on_commit(budget_rules.expire)


def _locked_slots(budget_id: UUID) -> QuerySet[BudgetSlot]:
    """In the order in which charges lock them."""
    slots = BudgetSlot.objects.select_for_update().filter(budget_id=budget_id)
    return slots.order_by("budget_id", "period_start", "number")


def units_of(limit: Decimal, currency: str) -> int:
    """The limit in segments, or in millionths. Raises `InvalidField`."""
    units = limit * MICRO if currency else limit
    if not 0 <= limit <= MAX_LIMIT or units != units.to_integral_value():
        what = "an amount with at most six decimals" if currency else "a whole number of segments"
        raise InvalidField("limit", "invalid", f"The limit must be {what}, from 0 to {MAX_LIMIT}.")
    return int(units)


def purge(*, now: datetime) -> None:
    """Delete the counters of ended periods and of deleted budgets, and charges without a counter."""
    for period in BudgetPeriod:
        started_before = start_of(period, now - KEPT_FOR)
        BudgetSlot.objects.filter(budget__period=period, period_start__lt=started_before).delete()
    BudgetSlot.objects.exclude(budget_id__in=Budget.objects.values("pk")).delete()
    counter = BudgetSlot.objects.filter(
        budget_id=OuterRef("budget_id"), period_start=OuterRef("period_start"), number=OuterRef("number")
    )
    while True:
        lost = list(BudgetCharge.objects.exclude(Exists(counter)).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        BudgetCharge.objects.filter(pk__in=lost).delete()
        if len(lost) < CHUNK:
            return
