"""Finding messages by one of several conditions, each of which has an index of its own."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from messaging.models import Message

FEW = 1_000


def starts_with(field: str, text: str) -> Q:
    """For a column whose index leaves out empty values: without this saying so too, PostgreSQL does not take it."""
    return Q(**{f"{field}__startswith": text}) & ~Q(**{field: ""})


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
