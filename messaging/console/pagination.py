"""Paging through tables of any size."""

from django.db.models import QuerySet
from django.utils.functional import cached_property

from messaging.console.bases import Paginator

COUNT_UP_TO = 10_000


class BoundedPaginator(Paginator):
    """A paginator whose count stops at `COUNT_UP_TO` rows."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by()[:COUNT_UP_TO].count() if isinstance(rows, QuerySet) else len(rows)
