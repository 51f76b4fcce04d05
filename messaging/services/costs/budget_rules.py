"""The budgets as each process knows them: read again when they are older than two seconds.

What is known here only says which counters a message concerns. Whether there is room is decided by the database.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from messaging.models import Budget, Message
from messaging.policy import zones
from messaging.policy.budgets import start_of, to_units
from messaging.services.snapshots import SnapshotMemory
from providers import routing
from providers.models import ProviderAccount
from providers.routing import Candidate

REFRESH_SECONDS = 2.0
# Of each counter. A slot is locked until its message is committed, so with n writers a few wait at any time.
SLOTS = 32

# The counter of one budget in one period.
CounterId = tuple[UUID, date]


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """Which messages a budget concerns, and what it counts: segments, or money in a currency."""

    id: UUID
    country: str
    period: str
    currency: str


@dataclass(frozen=True, slots=True)
class Fee:
    """What a message takes from one counter: segments, or millionths of the currency's unit."""

    rule: BudgetRule
    start: date
    amount: int

    @property
    def counter(self) -> CounterId:
        return self.rule.id, self.start


@dataclass(frozen=True, slots=True)
class SlotFee:
    """A fee, and the slot that it is to be taken from."""

    budget_id: UUID
    start: date
    number: int
    amount: int
    currency: str


@dataclass(slots=True)
class BudgetSnapshot:
    """All budgets, by owner, and the accounts, if a budget is of money."""

    by_owner: Mapping[int, Sequence[BudgetRule]] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()
    read_at: float = 0.0

    def fees(self, message: Message, now: datetime) -> list[Fee]:
        """What the message takes. Automatic replies take nothing: a person who wrote STOP gets the confirmation."""
        rules = self.by_owner.get(message.owner_id or 0)
        if not rules or message.is_automatic:
            return []
        country = zones.location_of(message.to_number).country if any(rule.country for rule in rules) else ""
        fees = (
            Fee(rule, start_of(rule.period, now), self._amount(rule, message))
            for rule in rules
            if rule.country in {"", country}
        )
        return sorted((fee for fee in fees if fee.amount), key=lambda fee: fee.counter)

    def _amount(self, rule: BudgetRule, message: Message) -> int:
        if not rule.currency:
            return message.segments
        return to_units(self.dearest(message.to_number, rule.currency) * message.segments, rule.currency)

    def dearest(self, number: str, currency: str) -> Decimal:
        """The highest price of a segment in this currency, of all accounts that may carry it; zero without one."""
        prices = (
            routing.price(each, number)
            for each in self.candidates
            if each.currency == currency and each.weight and routing.serves(each, number)
        )
        return max((price for price in prices if price is not None), default=Decimal(0))

    def slot_fees(self, message: Message, now: datetime) -> list[SlotFee]:
        """What the message takes of which slots, chosen at random, in the order in which slots are locked."""
        return [
            SlotFee(fee.rule.id, fee.start, random.randrange(SLOTS), fee.amount, fee.rule.currency)  # noqa: S311
            for fee in self.fees(message, now)
        ]


def _read(_last: BudgetSnapshot) -> BudgetSnapshot:
    """One query; two if a budget is of money."""
    rules: dict[int, list[BudgetRule]] = defaultdict(list)
    for owner_id, budget_id, country, period, currency in Budget.objects.order_by("pk").values_list(
        "owner_id", "id", "country", "period", "currency"
    ):
        rules[owner_id].append(BudgetRule(budget_id, country, period, currency))
    if not rules:
        return BudgetSnapshot()
    has_money = any(rule.currency for of_owner in rules.values() for rule in of_owner)
    accounts = ProviderAccount.objects.filter(is_enabled=True) if has_money else ()
    return BudgetSnapshot(dict(rules), [account.as_candidate() for account in accounts])


_memory = SnapshotMemory(BudgetSnapshot(), _read, seconds=lambda: REFRESH_SECONDS)
current = _memory.fresh
"""The budgets, read again if they are older than `REFRESH_SECONDS`."""
last_known = _memory.last
"""The budgets that this process used last; no query."""
expire = _memory.expire
use = _memory.use
