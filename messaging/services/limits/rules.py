"""Prefix rules, velocity limits and held prefixes, which each process keeps in memory, and the changes that staff make."""

from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from messaging.models import PrefixRule, PumpingAlert, VelocityLimit
from messaging.policy.prefixes import PrefixEntry, PrefixTable
from messaging.policy.velocity import Limits
from messaging.services.snapshots import SnapshotMemory

# What is older is read again, so that a change takes effect everywhere within this time.
REFRESH_SECONDS = 2.0
NO_LIMITS = Limits()


@dataclass(slots=True)
class LimitRules:
    """The rules as they were at one time. `default` are the limits of an owner without own ones."""

    prefixes: PrefixTable = field(default_factory=PrefixTable)
    default: Limits = NO_LIMITS
    of_owners: dict[int, Limits] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    read_at: float = 0.0
    has_velocity: bool = field(init=False)

    def __post_init__(self) -> None:
        self.has_velocity = any(limits != NO_LIMITS for limits in (self.default, *self.of_owners.values()))

    def limits_of(self, owner_id: int | None) -> Limits:
        return self.default if owner_id is None else self.of_owners.get(owner_id, self.default)

    def held_prefix(self, number: str) -> str:
        """The prefix of the number to which codes are held; empty if there is none."""
        return next((prefix for prefix in self.held if number.startswith(prefix)), "")


def _read(last: LimitRules) -> LimitRules:
    """Three queries. The table of prefixes stays as long as its entries do."""
    columns = ("is_allowed", "prefix", "country", "owner_id", "reason")
    entries = tuple(PrefixEntry(*row) for row in PrefixRule.objects.order_by().values_list(*columns))
    rows = list(VelocityLimit.objects.order_by())
    default = next((_limits_of(row, NO_LIMITS) for row in rows if row.owner_id is None), NO_LIMITS)
    held = PumpingAlert.objects.order_by().filter(is_holding=True).values_list("prefix", flat=True)
    return LimitRules(
        prefixes=last.prefixes if last.prefixes.entries == entries else PrefixTable(entries),
        default=default,
        of_owners={row.owner_id: _limits_of(row, default) for row in rows if row.owner_id is not None},
        held=frozenset(held),
    )


def _limits_of(row: VelocityLimit, default: Limits) -> Limits:
    def chosen(own: int | None, inherited: int | None) -> int | None:
        return (inherited if own is None else own) or None

    return Limits(
        recipient_per_hour=chosen(row.recipient_per_hour, default.recipient_per_hour),
        recipient_of_all_per_hour=chosen(row.recipient_of_all_per_hour, default.recipient_of_all_per_hour),
        new_recipients_per_minute=chosen(row.new_recipients_per_minute, default.new_recipients_per_minute),
        calling_code_per_hour=chosen(row.calling_code_per_hour, default.calling_code_per_hour),
    )


_memory = SnapshotMemory(LimitRules(), _read, seconds=lambda: REFRESH_SECONDS)
current = _memory.fresh
"""The rules, read again if they are older than `REFRESH_SECONDS`: three queries."""
read = _memory.read
expire = _memory.expire
use = _memory.use


def save(row: PrefixRule | VelocityLimit, *, now: datetime) -> None:
    """Store a new or changed rule, which its constraints have been checked for."""
    with transaction.atomic():
        row.changed_at = now
        row.save()
        transaction.on_commit(expire)
    expire()


def set_prefix(
    *, owner: User | None, prefix: str, country: str, is_allowed: bool, reason: str, now: datetime
) -> tuple[PrefixRule, bool]:
    """Allow or block a prefix or a country, and whether the rule is new. One for the same is replaced."""
    with transaction.atomic():
        row, is_new = PrefixRule.objects.update_or_create(
            owner=owner,
            prefix=prefix,
            country=country,
            defaults={"is_allowed": is_allowed, "reason": reason, "changed_at": now},
        )
        transaction.on_commit(expire)
    expire()
    return row, is_new


def set_limits(*, owner: User | None, values: dict[str, int | None], now: datetime) -> tuple[VelocityLimit, bool]:
    """Replace the limits of an owner or of all, and whether there were none."""
    with transaction.atomic():
        row, is_new = VelocityLimit.objects.update_or_create(owner=owner, defaults={**values, "changed_at": now})
        transaction.on_commit(expire)
    expire()
    return row, is_new


def remove(row: PrefixRule | VelocityLimit) -> None:
    with transaction.atomic():
        row.delete()
        transaction.on_commit(expire)
    expire()
