"""Messages: the list to find a customer's message, and the page with its history."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, ChoicesRadioFilter, RelatedCheckboxFilter
from unfold.decorators import display

from messaging.admin import text_privacy
from messaging.admin.compose import PERMISSION as MAY_SEND
from messaging.admin.compose import compose, count_segments
from messaging.admin.costs import costs_page
from messaging.admin.message_actions import ACTIONS
from messaging.admin.message_export import columns
from messaging.admin.message_page import message_page
from messaging.admin.message_search import search
from messaging.admin.status_styles import TONES
from messaging.console import audit, csv_export
from messaging.console.attached import Attached
from messaging.console.filters import CreatedFilter
from messaging.console.keyset import KeysetAdmin, KeysetChangeList
from messaging.console.model_admin import ReadOnlyAdmin
from messaging.console.staff import staff_of
from messaging.models import Message
from messaging.policy.hours import OUTSIDE_HOURS
from messaging.services.outbound import waiting
from messaging.states import ENDED_BADLY, Direction, Status

SHOWN_TEXT, SHOWN_ERROR = Attached[str]("shown_text"), Attached[str]("shown_error")


def export(request: HttpRequest, model_admin: "MessageAdmin") -> StreamingHttpResponse | HttpResponseRedirect:
    """Export all rows that match the filters and the search of this URL."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        rows = model_admin.get_changelist_instance(request).queryset
    except IncorrectLookupParameters:  # same as the list: an invalid filter must not export everything
        return HttpResponseRedirect(f"{reverse('admin:messaging_message_changelist')}?{ERROR_FLAG}=1")
    audit.record_on_table(staff_of(request), Message, f"Exported as CSV: {request.GET.urlencode() or 'all'}.")
    return csv_export.stream(
        csv_export.newest_first(rows),
        columns(readable=text_privacy.may_read(staff_of(request))),
        filename="messages.csv",
    )


class WaitsFilter(admin.SimpleListFilter):
    """Messages that rules of hours hold."""

    title = "what it waits for"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("hours", "an hour in which it may be sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        if self.value() != "hours":
            return queryset
        return queryset.filter(status=Status.QUEUED, error_code=OUTSIDE_HOURS, next_attempt_at__isnull=False)


@admin.register(Message)
class MessageAdmin(KeysetAdmin, ReadOnlyAdmin):
    list_display = ["created", "status_label", "contact", "text_start", "queue", "provider", "error"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ("direction", ChoicesRadioFilter),
        ("queue", RelatedCheckboxFilter),
        ("provider", RelatedCheckboxFilter),
        CreatedFilter,
        WaitsFilter,
    ]
    list_select_related = ["queue", "provider"]
    search_fields = ["to_number"]  # enables the search box; `get_search_results` does the search
    search_help_text = "Number, id, provider's message id or reference"
    change_form_template = "admin/messaging/message/detail.html"
    row_actions = ACTIONS
    custom_urls = (
        ("send/", "messaging_message_send", compose),
        ("measure/", "messaging_message_measure", count_segments),
        ("export/", "messaging_message_export", export),
        ("costs/", "messaging_message_costs", costs_page),
    )

    # --- The list -----------------------------------------------------------------------------------------------------

    def prepare(self, request: HttpRequest, rows: list[Message]) -> None:
        readable = text_privacy.may_read(staff_of(request))
        waits = waiting.find(rows, now=timezone.now(), sees_all=True)
        for row in rows:
            SHOWN_TEXT.set(row, text_privacy.shown_text(row, readable=readable))
            SHOWN_ERROR.set(row, waits[row.pk].code if row.pk in waits else row.error_code)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        return search(queryset, search_term), False

    def finds_by_index(self, changelist: KeysetChangeList) -> bool:
        statuses = set(changelist.filter_params.get("status__exact", []))
        is_one_status = len(statuses) == 1 and changelist.filter_params.keys() == {"status__exact"}
        return bool(
            changelist.query
            or "schedule" in changelist.filter_params
            or is_one_status
            or (statuses and statuses.issubset(ENDED_BADLY))
        )

    @display(description="Created")
    def created(self, row: Message) -> datetime:
        return row.created_at

    @display(description="Status", label=TONES)
    def status_label(self, row: Message) -> str:
        return Status(row.status)

    @display(description="To or from")
    def contact(self, row: Message) -> str:
        return self.title_of(row)

    @display(description="Text")
    def text_start(self, row: Message) -> str:
        return truncatechars(SHOWN_TEXT.of(row), 48)

    @display(description="Error", empty_value="")
    def error(self, row: Message) -> str:
        return SHOWN_ERROR.of(row)

    def title_of(self, obj: Message) -> str:
        return f"From {obj.from_number}" if obj.direction == Direction.INBOUND else f"To {obj.to_number}"

    # --- Beyond the list ----------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "may_send": request.user.has_perm(MAY_SEND)})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        message: Message | None = kwargs.get("obj")
        page = message_page(message, user=staff_of(request)) if message else {}
        page |= {"may_send": request.user.has_perm(MAY_SEND)}
        return super().render_change_form(request, {**context, **page}, *args, **kwargs)
