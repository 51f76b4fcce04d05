"""Find messages by one of several conditions, each with its own index."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.lookups import StartsWith

from messaging.models import Message
from messaging.states import Direction
from providers.models import ProviderAccount, SenderNumber

FEW = 1_000
LAST_CHARACTER = "\U0010ffff"


class _Begins(StartsWith):
    """A case-sensitive prefix match that uses an index: SQLite's LIKE ignores case, and so uses none."""

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        sql = f"({column} >= %s AND {column} < %s)"
        return sql, [*params, self.rhs, *params, self.rhs + LAST_CHARACTER]


def starts_with(field: str, text: str) -> Q:
    """Match a prefix of a column whose partial index excludes ''. PostgreSQL needs the same condition to use the index."""
    return Q(_Begins(F(field), text)) & ~Q(**{field: ""})


def number_starts_with(text: str) -> list[Q]:
    """Conditions for messages whose recipient, or sender, begins with `text`.

    Outbound messages have no index by sender, because a few numbers send all of them. So the sender numbers are matched first:
    usually none matches, and no condition is needed; one that matches is so frequent that a scan fills a page soon.
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
    """Our sender numbers that begin with `text`."""
    registered = SenderNumber.objects.filter(_Begins(F("number"), text)).values_list("number", flat=True)
    accounts = (account.from_number or "" for account in ProviderAccount.objects.all())
    return sorted({*registered, *(number for number in accounts if number.startswith(text))})


def any_of(queryset: QuerySet[Message], conditions: Iterable[Q]) -> QuerySet[Message]:
    """Filter by any of the conditions.

    With all conditions in one ordered query, PostgreSQL scans the whole table for a few matches. So each condition is queried
    alone first; only when one matches many rows is the scan right, because it fills a page soon.
    """
    conditions = list(conditions)
    found: set[UUID] = set()
    for condition in conditions:
        ids = queryset.filter(condition).order_by().values_list("pk", flat=True)[: FEW + 1]
        found.update(ids)
        if len(found) > FEW:
            return queryset.filter(reduce(or_, conditions))
    return queryset.filter(pk__in=found)
