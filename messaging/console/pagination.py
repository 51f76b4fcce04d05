"""Paging through tables of any size."""

from django.core.paginator import Paginator
from django.utils.functional import cached_property

COUNT_UP_TO = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than a person would page."""

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:COUNT_UP_TO].count()
