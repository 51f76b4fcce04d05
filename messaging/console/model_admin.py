"""The bases of every admin: unfold's look, and the product's habits."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_permission_codename
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from messaging.console import audit, filters
from messaging.console.deletion_preview import deletion_preview
from messaging.console.keyset import KeysetChangeList
from messaging.console.pagination import BoundedPaginator
from messaging.console.row_actions import RowActionsMixin

if TYPE_CHECKING:  # unfold derives from these, without types
    from django.contrib.admin import ModelAdmin as UnfoldModelAdmin
    from django.contrib.admin import TabularInline as UnfoldTabularInline
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin
    from unfold.admin import TabularInline as UnfoldTabularInline
    from unfold.views import ChangeList

LONGEST_INTEGER = 18
SAY_WHY = "Say why: it stands in the audit log, and nothing has changed so far."
NO_SUCH_ROW = "There is no such row, and nothing has changed."


class PlainChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """The header would offer to show all rows wherever it does not know how many there are."""
        super().get_results(request)
        self.full_result_count = self.result_count
        self.result_list = list(self.result_list)
        self.model_admin.prepare(request, self.result_list)


class ModelAdmin(RowActionsMixin, UnfoldModelAdmin):
    """Every admin derives from this one: a page of unfold with a form of Django's own looks broken.

    Each form asks why; the answer stands in the audit log beside what was changed.
    """

    list_fullwidth = True
    list_filter_submit = True
    list_disable_select_all = True
    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # each number beside a filter is a count of its rows
    warn_unsaved_form = True
    paginator = BoundedPaginator
    list_title = ""  # what the list is called where that is not the plural of its rows
    nothing_yet = ""  # said beside an empty list
    reason_field = audit.REASON_FIELD  # a form that has a reason as a field of its own is not asked for another

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PlainChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the list's own filters ask for, and nothing else.

        Django allows any question about any column, and an answer tells about a column that is not shown: one-time passwords,
        for instance, letter by letter.
        """
        if value.isdecimal() and len(value) > LONGEST_INTEGER:  # SQLite takes no such key
            return False
        return lookup in filters.parameters(self.model, self.get_list_filter(request))

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        request.console_list = self.list_title
        return super().changelist_view(request, extra_context)

    def title_of(self, obj: Model) -> str:
        """What the row is called above its page."""
        return str(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> Any:
        request.console_list = self.list_title
        if obj is not None:
            obj.console_title = self.title_of(obj)
        elif kwargs.get("add"):
            request.console_page = f"New {self.opts.verbose_name}"
        context |= {"reason": reason_of(request), "asks_why": self.reason_field == audit.REASON_FIELD}
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def prepare(self, request: HttpRequest, rows: list[Any]) -> None:
        """Whatever the columns need to know of who looks, or of all rows together; set it on the rows."""

    # --- Why, and what goes with it ---------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> type:
        """Whoever changes a row says why: the page asks for it, and nothing is stored without."""
        form = super().get_form(request, obj, change, **kwargs)
        return _unexplained(form) if change and request.method == "POST" and not reason_of(request) else form

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict | None = None) -> HttpResponse:
        if request.method == "POST" and not reason_of(request):
            self.message_user(request, SAY_WHY, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().delete_view(request, object_id, extra_context)

    def response_action(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        if "delete_selected" in request.POST.getlist("action") and request.POST.get("post") and not reason_of(request):
            self.message_user(request, SAY_WHY, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if chosen and not queryset.filter(pk__in=self._keys(chosen)).exists():
            self.message_user(request, NO_SUCH_ROW, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)

    def _keys(self, chosen: list[str]) -> list[Any]:
        """None at all where one of them cannot be a key."""
        try:
            return [self.opts.pk.clean(key, None) for key in chosen]
        except ValidationError:
            return []

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list, dict, set, list]:
        rows = list(objs)
        found = deletion_preview(rows)
        lacking = {self.opts.verbose_name for row in rows if not self.has_delete_permission(request, row)}
        for model in filter(self.admin_site.is_registered, found.models):
            options = model._meta  # noqa: SLF001 (public in all but its name)
            if not request.user.has_perm(f"{options.app_label}.{get_permission_codename('delete', options)}"):
                lacking.add(options.verbose_name)
        return found.names, found.going, lacking, found.keeping

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        return super().log_addition(request, obj, _explained(message, reason_of(request, self.reason_field)))

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        return super().log_change(request, obj, _explained(message, reason_of(request)))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return LogEntry.objects.log_actions(
            request.user.pk, queryset, DELETION, audit.with_reason("Deleted", reason_of(request))
        )


class TabularInline(UnfoldTabularInline):
    extra = 0
    hide_title = True  # the row tells it in its columns


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


def reason_of(request: HttpRequest, field: str = audit.REASON_FIELD) -> str:
    return request.POST.get(field, "").strip()[: audit.MAX_REASON]


def _unexplained(form: type) -> type:
    class Unexplained(form):
        def clean(self) -> Any:
            cleaned = super().clean()
            self.add_error(None, SAY_WHY)
            return cleaned

    return Unexplained


def _explained(message: Any, reason: str) -> Any:
    return audit.with_reason(audit.as_text(message), reason) if reason else message
