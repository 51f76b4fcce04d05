"""A list that costs the same at a thousand and at a hundred million rows: newest first, by the key, never counted.

A filter that no index serves could walk the whole table in search of rows that are not there. So a filtered page looks
through `WINDOW` rows of the table at the most, shows what it found, and offers to look further back.
"""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:  # unfold's derives from it, without types
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

WINDOW = 100_000
BEFORE, AFTER = "before", "after"


class UncountedPages:
    """In the place of a paginator: the templates ask it for a template, and it has no totals."""

    template_name = "console/pagination_keyset.html"
    num_pages = 1

    def __init__(self, per_page: int) -> None:
        self.per_page = per_page


class KeysetChangeList(ChangeList):
    """`newer` and `older` are the addresses of the pages beside this one, or None; `looked_through` is set where the window
    ended before the page was full."""

    newer: str | None = None
    older: str | None = None
    looked_through: int | None = None
    _is_full = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str] | None = None) -> QuerySet:
        for name in (BEFORE, AFTER):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        before, after = self._key(request, BEFORE), self._key(request, AFTER)
        rows = self._after(after) if after else self._before(before)
        self.model_admin.prepare(request, rows)
        self.result_list = rows
        self.result_count = len(rows)
        self.show_full_result_count, self.full_result_count = False, len(rows)
        self.show_admin_actions, self.can_show_all, self.multi_page = True, False, False
        self.paginator = UncountedPages(self.list_per_page)
        if rows and (before or (after and self._is_full)):
            self.newer = self.get_query_string({AFTER: str(rows[0].pk)})

    def _before(self, key: Any) -> list[Model]:
        """The page that begins below `key`, or with the newest."""
        rows = self.queryset if key is None else self.queryset.filter(pk__lt=key)
        oldest, newest = self._period()
        floor = self._floor(newest if key is None else key)
        if floor is not None and oldest is not None and floor < oldest:
            floor = None  # the period begins within the window
        if floor is not None:
            rows = rows.filter(pk__gte=floor)
        found = list(rows[: self.list_per_page + 1])
        page = found[: self.list_per_page]
        if len(found) > len(page):
            self.older = self.get_query_string({BEFORE: str(page[-1].pk)})
        elif floor is not None:
            self.older, self.looked_through = self.get_query_string({BEFORE: str(floor)}), WINDOW
        return page

    def _after(self, key: Any) -> list[Model]:
        """The page that ends above `key`."""
        found = list(self.queryset.filter(pk__gt=key).order_by("pk")[: self.list_per_page + 1])
        self._is_full = len(found) > self.list_per_page
        page = found[: self.list_per_page][::-1]
        if page:
            self.older = self.get_query_string({BEFORE: str(page[-1].pk)})
        return page

    def _floor(self, key: Any) -> Any:
        """The last key that this page may look at; None where an index leads to the rows, or where none is left out."""
        if not self.has_active_filters or self.model_admin.finds_by_index(self):
            return None
        rows = self.root_queryset if key is None else self.root_queryset.filter(pk__lt=key)
        return rows.order_by("-pk").values_list("pk", flat=True)[WINDOW : WINDOW + 1].first()

    def _period(self) -> tuple[Any, Any]:
        """The keys that a filter by time leaves."""
        return next((spec.keys() for spec in self.filter_specs if hasattr(spec, "keys")), (None, None))

    def _key(self, request: HttpRequest, name: str) -> Any:
        text = request.GET.get(name)
        if not text:
            return None
        try:
            return self.opts.pk.to_python(text)
        except ValidationError:
            return None
