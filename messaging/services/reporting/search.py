"""Find messages by one of several conditions, each with its own index."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.lookups import In, StartsWith

from messaging.models import Message

# A condition with more matches than this has many.
FEW = 1_000
# Matches are recent if the newest `RECENT` messages have at least `FULL_PAGE` of them.
RECENT, FULL_PAGE = 20_000, 100
LAST_CHARACTER = "\U0010ffff"


class _Begins(StartsWith):
    """A case-sensitive prefix match that uses an index: SQLite's LIKE ignores case, and so uses none."""

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        sql = f"({column} >= %s AND {column} < %s)"
        return sql, [*params, self.rhs, *params, self.rhs + LAST_CHARACTER]


class _AmongKeys(In):
    """`IN`, for which PostgreSQL reads the keys once and then their rows in order. For a plain `IN` it makes a join."""

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        keys, more = self.process_rhs(compiler, connection)
        return f"{column} = ANY(ARRAY{keys})", [*params, *more]


def starts_with(field: str, text: str) -> Q:
    """Match a prefix of a column whose partial index excludes ''. PostgreSQL needs the same condition to use the index."""
    return Q(_Begins(F(field), text)) & ~Q(**{field: ""})


def number_starts_with(text: str) -> list[Q]:
    """Conditions for messages whose recipient, or sender, begins with `text`."""
    return [Q(_Begins(F("to_number"), text)), Q(_Begins(F("from_number"), text))]


def any_of(queryset: QuerySet[Message], conditions: Iterable[Q]) -> QuerySet[Message]:
    """Filter by any of the conditions.

    With all conditions in one ordered query, PostgreSQL scans the whole table for a few matches. So each condition is queried
    alone first. Only when one matches many rows, and recent ones among them, is the scan right, because it fills a page soon.
    """
    conditions = list(conditions)
    found: set[UUID] = set()
    for condition in conditions:
        ids = queryset.filter(condition).order_by().values_list("pk", flat=True)[: FEW + 1]
        found.update(ids)
        if len(found) > FEW:
            return _any_of_many(queryset, conditions)
    return queryset.filter(pk__in=found)


def _any_of_many(queryset: QuerySet[Message], conditions: list[Q]) -> QuerySet[Message]:
    matches = queryset.filter(reduce(or_, conditions))
    if _fill_a_page_soon(matches):
        return matches
    # All matches are old, such as the orders of a day last year: a scan from the newest message on would not end soon.
    first, *others = (queryset.filter(condition).order_by().values("pk") for condition in conditions)
    return queryset.filter(_AmongKeys(F("pk"), first.union(*others, all=True).query))


def _fill_a_page_soon(matches: QuerySet[Message]) -> bool:
    newest = Message.objects.order_by("-pk").values_list("pk", flat=True)
    floor = newest[RECENT : RECENT + 1].first()
    return floor is None or matches.filter(pk__gt=floor).order_by()[:FULL_PAGE].count() == FULL_PAGE
