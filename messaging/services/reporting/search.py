"""Finding messages by one of several conditions, each of which has an index of its own."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.lookups import StartsWith

from messaging.models import Message
from messaging.states import Direction
from providers.models import ProviderAccount, SenderNumber

FEW = 1_000
LAST_CHARACTER = "\U0010ffff"


class _Begins(StartsWith):
    """Upper and lower case are different on every database: SQLite's LIKE takes one for the other, and no index either."""

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        sql = f"({column} >= %s AND {column} < %s)"
        return sql, [*params, self.rhs, *params, self.rhs + LAST_CHARACTER]


def starts_with(field: str, text: str) -> Q:
    """For a column whose index leaves out empty values: without this saying so too, PostgreSQL does not take it."""
    return Q(_Begins(F(field), text)) & ~Q(**{field: ""})


def number_starts_with(text: str) -> list[Q]:
    """Who was written to and who wrote, by the start of the number.

    What was sent has no index by its sender, as a handful of numbers send it all. So those are asked first: for most texts
    none is found and there is nothing to look for; else it is one that a walk meets soon.
    """
    conditions = [
        Q(_Begins(F("to_number"), text)),
        Q(_Begins(F("from_number"), text), direction=Direction.INBOUND),
    ]
    senders = _senders(text)
    if senders:
        conditions.append(Q(from_number__in=senders, direction=Direction.OUTBOUND))
    return conditions


def _senders(text: str) -> list[str]:
    """Of the numbers that messages are sent from, those that start so."""
    registered = SenderNumber.objects.filter(_Begins(F("number"), text)).values_list("number", flat=True)
    accounts = (account.from_number or "" for account in ProviderAccount.objects.all())
    return sorted({*map(str, registered), *(number for number in accounts if number.startswith(text))})


def any_of(queryset: QuerySet[Message], conditions: Iterable[Q]) -> QuerySet[Message]:
    """Those for which one of the conditions holds.

    Asked for all of them at once and in order, PostgreSQL walks the whole table for the few that match. So each condition is
    asked alone first; only where one matches many is the walk right, because it soon has a page full.
    """
    conditions = list(conditions)
    found: set = set()
    for condition in conditions:
        ids = queryset.filter(condition).order_by().values_list("pk", flat=True)[: FEW + 1]
        found.update(ids)
        if len(found) > FEW:
            return queryset.filter(reduce(or_, conditions))
    return queryset.filter(pk__in=found)
