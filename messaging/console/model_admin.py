"""Base classes of every admin: unfold's styling, a reason for each change, and bounded counts."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from messaging.console import audit, filters
from messaging.console.attached import Attached
from messaging.console.bases import ChangeList, ModelForm, UnfoldTabularInline
from messaging.console.deletion_preview import deletion_preview
from messaging.console.pagination import BoundedPaginator
from messaging.console.row_actions import RowActionsAdmin
from messaging.console.staff import staff_of

LONGEST_INTEGER = 18
REASON_REQUIRED = "Nothing has changed yet: give a reason for the audit log."
NO_SUCH_ROW = "The selected rows do not exist. Nothing has changed."
# Read by the header of every page: the name of the list, of a page without a row, and of a row.
LIST_TITLE = Attached[str]("console_list")
PAGE_TITLE = Attached[str]("console_page")
ROW_TITLE = Attached[str]("console_title")


class PlainChangeList(ChangeList):
    model_admin: "ModelAdmin"

    def get_results(self, request: HttpRequest) -> None:
        """Set a full count: without one the header would offer to show all rows."""
        super().get_results(request)
        self.full_result_count = self.result_count
        self.result_list = list(self.result_list)
        self.model_admin.prepare(request, self.result_list)


class ModelAdmin(RowActionsAdmin):
    """Base of every admin: a plain Django form on one of unfold's pages looks broken.

    Each form asks for a reason, which the audit log records with the change.
    """

    list_fullwidth = True
    list_filter_submit = True
    list_disable_select_all = True
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # each facet would count its rows
    warn_unsaved_form = True
    paginator = BoundedPaginator
    list_title = ""  # heading of the list, if not the plural name of the model
    empty_list_note = ""  # shown next to an empty list
    reason_field = audit.REASON_FIELD  # a form with its own reason field gets no second one

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlainChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the lookups of the list's own filters.

        Django allows lookups on any column, so the number of matches could reveal a hidden column letter by letter, such as
        the one-time password in a text.
        """
        if value.isdecimal() and len(value) > LONGEST_INTEGER:  # too large for an SQLite key
            return False
        return lookup in filters.parameters(self.model, self.get_list_filter(request))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        LIST_TITLE.set(request, self.list_title)
        return super().changelist_view(request, extra_context)

    def title_of(self, obj: Any) -> str:
        """Return the heading of the row's page."""
        return str(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        LIST_TITLE.set(request, self.list_title)
        if obj is not None:
            ROW_TITLE.set(obj, self.title_of(obj))
        elif kwargs.get("add"):
            PAGE_TITLE.set(request, f"New {self.opts.verbose_name}")
        context |= {"reason": reason_of(request), "asks_reason": self.reason_field == audit.REASON_FIELD}
        return super().render_change_form(request, context, *args, **kwargs)

    def prepare(self, request: HttpRequest, rows: list[Any]) -> None:
        """Compute what the columns need for all rows together, and attach it to them. Called before rows are shown."""

    # --- Reasons and deletions ---------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:
        """Return the form of the model. Without a reason it does not validate a change."""
        form = super().get_form(request, obj, change, **kwargs)
        return _without_reason(form) if change and request.method == "POST" and not reason_of(request) else form

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and not reason_of(request):
            self.message_user(request, REASON_REQUIRED, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().delete_view(request, object_id, extra_context)

    def response_action(  # type: ignore[override]  # the stubs are for Django 6, which has one more argument
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        if "delete_selected" in request.POST.getlist("action") and request.POST.get("post") and not reason_of(request):
            self.message_user(request, REASON_REQUIRED, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if chosen and not queryset.filter(pk__in=self._keys(chosen)).exists():
            self.message_user(request, NO_SUCH_ROW, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)

    def _keys(self, chosen: list[str]) -> list[Any]:
        """Return the primary keys, or none if one of them is invalid."""
        try:
            return [self.opts.pk.clean(key, None) for key in chosen]
        except ValidationError:
            return []

    def get_deleted_objects(  # type: ignore[override]  # a count is a text here: "more than 10,000"
        self, objs: Iterable[Model], request: HttpRequest
    ) -> tuple[list[str], dict[str, str], set[str], list[str]]:
        rows = list(objs)
        preview = deletion_preview(rows)
        lacking = {str(self.opts.verbose_name) for row in rows if not self.has_delete_permission(request, row)}
        for model in filter(self.admin_site.is_registered, preview.models):
            options = model._meta  # noqa: SLF001 (public in all but its name)
            if not request.user.has_perm(f"{options.app_label}.{get_permission_codename('delete', options)}"):
                lacking.add(str(options.verbose_name))
        return preview.names, preview.deleted, lacking, preview.protected

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_addition(request, obj, _with_reason(message, reason_of(request, self.reason_field)))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_change(request, obj, _with_reason(message, reason_of(request)))

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[LogEntry]:
        return LogEntry.objects.log_actions(
            staff_of(request).pk, queryset, DELETION, audit.with_reason("Deleted", reason_of(request))
        )


class TabularInline(UnfoldTabularInline):
    extra = 0
    hide_title = True  # the columns show it


class ReadOnlyMixin:
    """For a ModelAdmin or an inline whose rows are written by services only: staff can view but not edit them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnlyMixin, ModelAdmin):
    pass


def reason_of(request: HttpRequest, field: str = audit.REASON_FIELD) -> str:
    return request.POST.get(field, "").strip()[: audit.MAX_REASON]


def _without_reason(form: type[ModelForm]) -> type[ModelForm]:
    class FormWithoutReason(form):  # type: ignore[valid-type,misc]  # the form's class is made at runtime
        def clean(self) -> Any:
            cleaned = super().clean()
            self.add_error(None, REASON_REQUIRED)
            return cleaned

    return FormWithoutReason


def _with_reason(message: Any, reason: str) -> Any:
    return audit.with_reason(audit.as_text(message), reason) if reason else message
