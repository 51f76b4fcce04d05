"""The bases of every admin: unfold's look, and the product's habits."""

from typing import Any

from django.contrib.admin.models import DELETION, LogEntry
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.admin import TabularInline as UnfoldTabularInline
from unfold.views import ChangeList

from console import audit
from console.acts import ActsMixin
from console.keyset import KeysetChangeList
from console.pagination import BoundedPaginator


class PlainChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """The header would offer to show all rows wherever it does not know how many there are."""
        super().get_results(request)
        self.full_result_count = self.result_count
        self.result_list = list(self.result_list)
        self.model_admin.prepare(request, self.result_list)


class ModelAdmin(ActsMixin, UnfoldModelAdmin):
    """Every admin derives from this one: a page of unfold with a form of Django's own looks broken.

    Each form asks why; the answer stands in the audit log beside what was changed.
    """

    list_fullwidth = True
    list_filter_submit = True
    list_disable_select_all = True
    list_per_page = 50
    show_full_result_count = False
    warn_unsaved_form = True
    paginator = BoundedPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlainChangeList

    def prepare(self, request: HttpRequest, rows: list[Any]) -> None:
        """Whatever the columns need to know of who looks, or of all rows together; set it on the rows."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        return super().log_addition(request, obj, _explained(request, message))

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        return super().log_change(request, obj, _explained(request, message))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return LogEntry.objects.log_actions(
            request.user.pk, queryset, DELETION, audit.with_reason("Deleted", _reason(request))
        )


class TabularInline(UnfoldTabularInline):
    extra = 0


class ReadOnlyMixin:
    """Rows that only services write: staff look at them, nobody edits them by hand. For a ModelAdmin or an inline."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnlyMixin, ModelAdmin):
    pass


class KeysetMixin:
    """For a ModelAdmin over a table of any size: newest first, paged by the key, never counted."""

    ordering = ["-pk"]
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def finds_by_index(self, changelist: KeysetChangeList) -> bool:
        """Whether an index leads straight to the rows of this list's filters, however few they are."""
        return False


def _reason(request: HttpRequest) -> str:
    return request.POST.get(audit.REASON_FIELD, "").strip()[: audit.MAX_REASON]


def _explained(request: HttpRequest, message: Any) -> Any:
    reason = _reason(request)
    return audit.with_reason(audit.as_text(message), reason) if reason else message
