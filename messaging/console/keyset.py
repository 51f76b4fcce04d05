"""Lists that cost the same at a thousand and at 100 million rows: newest first, paged by key, never counted.

A filter without an index could scan the whole table for rows that do not exist. A filtered page therefore scans at most
`WINDOW` rows, shows the matches, and offers to search further back.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from messaging.console.bases import ChangeList
from messaging.console.filters import CreatedFilter
from messaging.console.model_admin import ModelAdmin

WINDOW = 100_000
BEFORE, AFTER = "before", "after"


class UncountedPages:
    """Stands in for the paginator: names the template of the page links, and has no totals."""

    template_name = "console/pagination_keyset.html"
    num_pages = 1

    def __init__(self, per_page: int) -> None:
        self.per_page = per_page


class KeysetChangeList(ChangeList):
    """`newer` and `older` are the URLs of the adjacent pages, or None.

    `scanned` is the number of rows searched if the window ended before the page was full, otherwise None.
    """

    model_admin: "KeysetAdmin"
    newer: str | None = None
    older: str | None = None
    scanned: int | None = None
    _is_full = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
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
        """Return the page that starts below `key`, or with the newest row."""
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
            self.older, self.scanned = self.get_query_string({BEFORE: str(floor)}), WINDOW
        return page

    def _after(self, key: Any) -> list[Model]:
        """Return the page that ends above `key`."""
        found = list(self.queryset.filter(pk__gt=key).order_by("pk")[: self.list_per_page + 1])
        self._is_full = len(found) > self.list_per_page
        page = found[: self.list_per_page][::-1]
        if page:
            self.older = self.get_query_string({BEFORE: str(page[-1].pk)})
        return page

    def _floor(self, key: Any) -> Any:
        """Return the lowest key that this page may scan, or None if an index serves the filters or no rows are left out."""
        if not self.has_active_filters or self.model_admin.finds_by_index(self):
            return None
        rows = self.root_queryset if key is None else self.root_queryset.filter(pk__lt=key)
        return rows.order_by("-pk").values_list("pk", flat=True)[WINDOW : WINDOW + 1].first()

    def _period(self) -> tuple[Any, Any]:
        """Return the bounds that a filter by time puts on the key."""
        return next((spec.keys() for spec in self.filter_specs if isinstance(spec, CreatedFilter)), (None, None))

    def _key(self, request: HttpRequest, name: str) -> Any:
        text = request.GET.get(name)
        if not text:
            return None
        try:
            return self.opts.pk.to_python(text)
        except ValidationError:
            return None


class KeysetAdmin(ModelAdmin):
    """A ModelAdmin for a table of any size. Its keys must be ordered by time."""

    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def finds_by_index(self, changelist: KeysetChangeList) -> bool:
        """Return True if an index leads straight to the rows of this list's filters, however few they are."""
        return False
