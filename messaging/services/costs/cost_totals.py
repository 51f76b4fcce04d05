"""What sending has cost: noted in the transaction that saves an acceptance, added to daily totals later, read from the totals.

As with counts (`reporting.rollups`), a transaction appends one row to a journal, so that no worker waits for another. A row is
added and deleted by one transaction, so every sum is right at any time.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Sum

from messaging.models import CostJournal, CostTotal, DeliveryAttempt, Message
from messaging.policy import zones
from messaging.policy.budgets import to_amount, to_units

GROUPS = ("owner", "account", "country", "category", "template", "day")
FILTERS = ("account", "country", "category", "template")
CHUNK = 5_000
MAX_CHUNKS = 50

_KEY = ("day", "owner_id", "account", "country", "category", "template", "currency")
_SUMS = ("attempts", "segments", "units")
# The values of `_KEY`, and the sums of `_SUMS`.
_Key = tuple[str, int, str, str, str, str, str]
_Sums = tuple[int, int, int]
_MONEY = "money"  # the units of a currency are no sum of a group without it


@dataclass(frozen=True, slots=True)
class CostSum:
    """Of one group and currency: `group` has the value of each column that was asked for; `amount` is in `currency`."""

    group: Mapping[str, str]
    currency: str
    amount: Decimal
    segments: int
    attempts: int


def note(attempts: Iterable[DeliveryAttempt], messages: Mapping[UUID, Message], *, now: datetime) -> None:
    """Note what these attempts cost, in the transaction that saves them. One row, or none without a price."""
    found: dict[_Key, _Sums] = {}
    for attempt in attempts:
        message = messages.get(attempt.message_id)
        if attempt.price is None or message is None:
            continue
        key = _key_of(attempt, message, attempt.currency, now)
        _add(found, key, (1, message.segments, _units(attempt.price)))
    _append(found)


def correct(
    attempt: DeliveryAttempt,
    message: Message,
    *,
    before: tuple[Decimal | None, str],
    after: tuple[Decimal, str],
    now: datetime,
) -> None:
    """Note that the attempt cost `after` and not `before`: amount and currency, on the day on which it was accepted."""
    found: dict[_Key, _Sums] = {}
    at = attempt.finished_at or now
    if before[0] is not None:
        _add(found, _key_of(attempt, message, before[1], at), (-1, -message.segments, -_units(before[0])))
    _add(found, _key_of(attempt, message, after[1], at), (1, message.segments, _units(after[0])))
    _append(found)


def _key_of(attempt: DeliveryAttempt, message: Message, currency: str, at: datetime) -> _Key:
    return (
        at.astimezone(UTC).date().isoformat(),
        message.owner_id or 0,
        attempt.provider_id,
        zones.location_of(message.to_number).country,
        message.category,
        str(message.template_id or ""),
        currency,
    )


def _units(price: Decimal) -> int:
    """Prices without a named currency are money, too."""
    return to_units(price, _MONEY)


def _append(found: Mapping[_Key, _Sums]) -> None:
    if found:
        CostJournal.objects.create(costs=json.dumps([[*key, *sums] for key, sums in found.items()]))


def compact(*, max_chunks: int = MAX_CHUNKS) -> int:
    """Add the journal to the totals; return how many of its rows. Safe to repeat, to interrupt and to run concurrently."""
    total = 0
    for _ in range(max_chunks):
        done = _compact_chunk()
        total += done
        if done < CHUNK:
            break
    return total


@transaction.atomic
def _compact_chunk() -> int:
    rows = list(CostJournal.objects.order_by("pk").select_for_update(skip_locked=True)[:CHUNK])
    found: dict[_Key, _Sums] = {}
    for row in rows:
        for *parts, attempts, segments, units in json.loads(row.costs):
            day, owner_id, account, country, category, template, currency = parts
            key = (day, owner_id, account, country, category, template, currency)
            _add(found, key, (attempts, segments, units))
    if found:
        table, names = CostTotal._meta.db_table, (*_KEY, *_SUMS)  # noqa: SLF001 (public in all but its name)
        added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
        statement = (
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {added}"
        )
        with connection.cursor() as cursor:  # sorted, so that concurrent compactions cannot deadlock
            cursor.executemany(statement, [(*key, *sums) for key, sums in sorted(found.items())])
    CostJournal.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def _add(found: dict[_Key, _Sums], key: _Key, sums: _Sums) -> None:
    before = found.get(key, (0, 0, 0))
    found[key] = (before[0] + sums[0], before[1] + sums[1], before[2] + sums[2])


def sums(
    *,
    owner_id: int | None,
    since: date,
    until: date,
    group_by: Sequence[str],
    only: Mapping[str, str] = MappingProxyType({}),
) -> list[CostSum]:
    """The costs of these days, both included, by group and currency: amounts in different currencies are never added.

    `owner_id` None: of all owners. `only` has the value of each column of `FILTERS` that the costs are limited to. What is
    still in the journal is added to the totals first.
    """
    compact()
    columns = ["owner_id" if name == "owner" else name for name in group_by]
    rows = CostTotal.objects.filter(day__range=(since, until), **{name: only[name] for name in FILTERS if name in only})
    if owner_id is not None:
        rows = rows.filter(owner_id=owner_id)
    found = list(
        rows.order_by(*columns, "currency")
        .values(*columns, "currency")
        .annotate(all_units=Sum("units"), all_segments=Sum("segments"), all_attempts=Sum("attempts"))
    )
    names = _names_of({row["owner_id"] for row in found}) if "owner" in group_by else {}
    return [
        CostSum(
            group={
                name: names.get(row[column], "") if name == "owner" else str(row[column])
                for name, column in zip(group_by, columns, strict=True)
            },
            currency=row["currency"],
            amount=to_amount(row["all_units"], _MONEY),
            segments=row["all_segments"],
            attempts=row["all_attempts"],
        )
        for row in found
    ]


def _names_of(owners: Collection[int]) -> dict[int, str]:
    """The user names; a deleted user keeps its number."""
    names: dict[int, str] = defaultdict(str, {owner: f"#{owner}" for owner in owners if owner})
    names.update(get_user_model().objects.filter(pk__in=owners).values_list("pk", "username"))
    return names
