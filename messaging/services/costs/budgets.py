"""Charge messages to the budgets of their owners, exactly: what there is no room for is refused, however many ask at once.

Most single messages are charged by the statement that stores them (`outbound.accept`), to one slot of each counter. This is
the other way: it locks all slots of the counters that are concerned, and decides by their sum. It is taken by batches, by the
runs of schedules, by what has no room in its slot, and by what passes 80 %.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from messaging.event_types import EventType
from messaging.models import Budget, BudgetCharge, BudgetSlot, Message
from messaging.policy.budgets import end_of, grants, start_of, to_amount, to_units, warns_at
from messaging.services import events, statements
from messaging.services.charges import SlotKey
from messaging.services.costs import budget_rules
from messaging.services.costs.budget_rules import SLOTS, CounterId, Fee
from messaging.services.errors import BudgetExceeded
from messaging.services.representation import isoformat_utc

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Counter:
    """All slots of one budget's period, locked."""

    budget: Budget
    start: date
    slots: list[BudgetSlot]

    @property
    def total(self) -> int:
        return sum(slot.used for slot in self.slots)

    def has_room(self, amount: int) -> bool:
        return self.total + amount <= self.budget.limit_units

    def save(self, now: datetime) -> None:
        """Spread what is left over the slots. Warns the owner once a period, in the transaction that reaches 80 %."""
        limit, total = self.budget.limit_units, self.total
        if total >= warns_at(limit) and self.budget.warned_for != self.start:
            self.budget.warned_for = self.start
            Budget.objects.filter(pk=self.budget.pk).update(warned_for=self.start)
            _warn(self.budget, self.start, total, now)
        is_warned = self.budget.warned_for == self.start
        granted = grants([slot.used for slot in self.slots], limit=limit, warned=is_warned)
        for slot, upto in zip(self.slots, granted, strict=True):
            slot.granted = upto
        statements.execute([statements.update(self.slots, ["used", "granted"])])


def charge(messages: Sequence[Message], *, now: datetime) -> dict[UUID, BudgetExceeded]:
    """Charge the messages in their order; return the errors of those that there is no room for, by primary key.

    Call it in the transaction that stores the messages, shortly before its end: what it locks, other requests wait for.
    """
    known = budget_rules.current()
    fees = {message.pk: found for message in messages if (found := known.fees(message, now))}
    if not fees:
        return {}
    if len(messages) == 1 and (error := _refusal(next(iter(fees.values())), now)) is not None:
        return {messages[0].pk: error}  # without a lock: a flood over the limit does not hold up what is still accepted
    counters = _locked({fee.counter for of_message in fees.values() for fee in of_message})
    refused: dict[UUID, BudgetExceeded] = {}
    taken: list[BudgetCharge] = []
    changed: set[CounterId] = set()
    for pk, of_message in fees.items():
        present = [fee for fee in of_message if fee.counter in counters]  # a budget may have been deleted
        full = next((fee for fee in present if not counters[fee.counter].has_room(fee.amount)), None)
        if full is not None:
            refused[pk] = _error(counters[full.counter].budget, full.start, now)
            continue
        for fee in present:
            slot = counters[fee.counter].slots[len(taken) % SLOTS]
            slot.used += fee.amount
            changed.add(fee.counter)
            taken.append(
                BudgetCharge(
                    message_id=pk,
                    budget_id=fee.rule.id,
                    period_start=fee.start,
                    number=slot.number,
                    amount=fee.amount,
                    currency=fee.rule.currency,
                )
            )
    for counter in sorted(changed):
        counters[counter].save(now)
    BudgetCharge.objects.bulk_create(taken)
    return refused


def charge_again(messages: Sequence[Message], *, now: datetime) -> dict[UUID, BudgetExceeded]:
    """As `charge`, for messages that are sent once more. What they took before is spent, unless they are refused."""
    if not budget_rules.current().by_owner:
        return {}
    before = BudgetCharge.objects.filter(message_id__in=[message.pk for message in messages], is_kept=False)
    spent = dict(before.values_list("pk", "message_id"))
    refused = charge(messages, now=now)
    kept = [pk for pk, message_id in spent.items() if message_id not in refused]
    if kept:
        BudgetCharge.objects.filter(pk__in=kept).update(is_kept=True)
    return refused


def refusal(message: Message, *, now: datetime) -> BudgetExceeded | None:
    """The error that this message would get now. Charges nothing."""
    return _refusal(budget_rules.current().fees(message, now), now)


def concern(owner_id: int | None) -> bool:
    """Whether the owner has a budget."""
    return (owner_id or 0) in budget_rules.current().by_owner


def accepted(
    prices: Mapping[UUID, tuple[Decimal | None, str]], *, now: datetime, others: Collection[UUID] = ()
) -> None:
    """A carrier has accepted these messages at these prices: nothing is given back any more.

    Charges of segments are deleted. Those of money stay, corrected to the price where it is in their currency. `others` are
    messages that the same transaction may end unsent afterwards: their counters are locked here too, in the order of all.
    """
    if not prices or not budget_rules.current().by_owner:
        return
    rows = list(BudgetCharge.objects.filter(message_id__in={*prices, *others}, is_kept=False))
    spent = [row for row in rows if row.message_id in prices]
    BudgetCharge.objects.filter(pk__in=[row.pk for row in spent if not row.currency]).delete()
    money = [row for row in spent if row.currency]
    if not money:
        return
    corrections: dict[SlotKey, int] = defaultdict(int)
    for row in money:
        price, currency = prices[row.message_id]
        row.is_kept = True
        if price is not None and currency == row.currency:
            actual = to_units(price, currency)
            corrections[row.budget_id, row.period_start, row.number] += actual - row.amount
            row.amount = actual
    statements.execute([statements.update(money, ["amount", "is_kept"])])
    _correct(corrections, {(row.budget_id, row.period_start) for row in rows if row.message_id not in prices}, now)


def correct(message_id: UUID, *, before: tuple[Decimal | None, str], after: tuple[Decimal, str], now: datetime) -> None:
    """An attempt of this message cost `after` and not `before`. Changes the budgets that are in this currency.

    The caller has locked the message. All counters that the message was charged to are locked, so that what the message's
    transition returns afterwards needs no further lock.
    """
    charges = list(BudgetCharge.objects.filter(message_id=message_id).order_by("pk"))
    counters = _locked({(row.budget_id, row.period_start) for row in charges}, create=False)
    price, currency = after
    latest = {row.budget_id: row for row in charges if currency and row.currency == currency}
    changed = [row for row in latest.values() if (row.budget_id, row.period_start) in counters]
    for row in changed:
        known, known_in = before
        counted = (
            to_units(known, currency) if known is not None and known_in == currency and row.is_kept else row.amount
        )
        difference = to_units(price, currency) - counted
        counter = counters[row.budget_id, row.period_start]
        for slot in counter.slots:
            slot.used += difference if slot.number == row.number else 0
        counter.save(now)
        row.amount, row.is_kept = row.amount + difference, True
    if changed:
        statements.execute([statements.update(changed, ["amount", "is_kept"])])


def _correct(corrections: Mapping[SlotKey, int], others: Collection[CounterId], now: datetime) -> None:
    """Change the use of slots. Their counters are spread anew, so that no slot takes more than is left at a higher price.

    The counters of `others` are only locked.
    """
    changed = {slot: amount for slot, amount in corrections.items() if amount}
    if not changed:
        return
    concerned = {(budget_id, start) for budget_id, start, _ in changed}
    counters = _locked(concerned | set(others), create=False)
    for (budget_id, start), counter in counters.items():
        if (budget_id, start) not in concerned:
            continue
        for slot in counter.slots:
            slot.used += changed.get((budget_id, start, slot.number), 0)
        counter.save(now)


def _locked(wanted: Collection[CounterId], *, create: bool = True) -> dict[CounterId, _Counter]:
    """The counters, all their slots locked, in one order for all transactions; without those whose budget is gone."""
    if not wanted:
        return {}
    if create:
        create_missing(wanted)
    rows = list(_slots_of(wanted).select_for_update().order_by("budget_id", "period_start", "number"))
    # After the locks: whoever changes a limit holds them, too.
    budgets = Budget.objects.in_bulk({budget_id for budget_id, _ in wanted})
    found: dict[CounterId, _Counter] = {}
    for row in rows:
        key = row.budget_id, row.period_start
        if row.budget_id in budgets:
            found.setdefault(key, _Counter(budgets[row.budget_id], row.period_start, [])).slots.append(row)
    return found


def _slots_of(wanted: Iterable[CounterId]) -> QuerySet[BudgetSlot]:
    condition = Q(pk__in=())
    for budget_id, start in wanted:
        condition |= Q(budget_id=budget_id, period_start=start)
    return BudgetSlot.objects.filter(condition)


def create_missing(wanted: Collection[CounterId]) -> None:
    """Make the slots of these counters that have none."""
    known = set(_slots_of(wanted).values_list("budget_id", "period_start").distinct())
    missing = sorted(set(wanted) - known)
    if missing:
        rows = [
            BudgetSlot(budget_id=budget_id, period_start=start, number=number)
            for budget_id, start in missing
            for number in range(SLOTS)
        ]
        BudgetSlot.objects.bulk_create(rows, ignore_conflicts=True)


def _refusal(fees: Sequence[Fee], now: datetime) -> BudgetExceeded | None:
    """By the committed sums, without a lock."""
    if not fees:
        return None
    used = used_of({fee.counter for fee in fees})
    budgets = Budget.objects.in_bulk({fee.rule.id for fee in fees})
    for fee in fees:
        budget = budgets.get(fee.rule.id)
        if budget is not None and used.get(fee.counter, 0) + fee.amount > budget.limit_units:
            return _error(budget, fee.start, now)
    return None


def used_of(counters: Iterable[CounterId]) -> dict[CounterId, int]:
    """The use of each counter that has slots, by one query."""
    sums = _slots_of(counters).order_by().values_list("budget_id", "period_start").annotate(total=Sum("used"))
    return {(budget_id, start): total for budget_id, start, total in sums}


def used_now(budgets: Sequence[Budget], *, now: datetime) -> dict[UUID, int]:
    """The use of each budget in the present period, by its id."""
    counters = {budget.pk: (budget.pk, start_of(budget.period, now)) for budget in budgets}
    found = used_of(counters.values()) if counters else {}
    return {pk: found.get(counter, 0) for pk, counter in counters.items()}


def describe(budget: Budget, *, used: int, start: date) -> dict[str, object]:
    """A budget and its use, as its owner sees them. Amounts are texts: exact, however large."""
    return {
        "id": str(budget.pk),
        "country": budget.country or None,
        "period": budget.period,
        "limit": f"{budget.limit.normalize():f}",
        "currency": budget.currency or None,
        "used": f"{to_amount(used, budget.currency).normalize():f}",
        "period_ends_at": isoformat_utc(end_of(budget.period, start)),
    }


def _error(budget: Budget, start: date, now: datetime) -> BudgetExceeded:
    ends = end_of(budget.period, start)
    seconds = max(1, int((ends - now).total_seconds()) + 1)
    return BudgetExceeded(
        f"The budget of {budget} has no room for this message. The next {budget.period} begins at {ends:%Y-%m-%d %H:%M} UTC.",
        retry_after=seconds,
    )


def _warn(budget: Budget, start: date, used: int, now: datetime) -> None:
    logger.warning("80 %% of budget %s (%s) of user %s are used", budget.pk, budget, budget.owner_id)
    events.record_data(
        owner_id=budget.owner_id,
        event_type=EventType.BUDGET_WARNING,
        data=describe(budget, used=used, start=start),
        at=now,
    )
