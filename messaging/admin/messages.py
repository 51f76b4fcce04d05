"""Messages: the list in which a customer's message is found, and the page that tells what became of it."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.defaultfilters import truncatechars
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, ChoicesRadioFilter, RelatedCheckboxFilter
from unfold.decorators import display

from messaging.admin import text_privacy
from messaging.admin.compose import PERMISSION as MAY_SEND
from messaging.admin.compose import compose, measure
from messaging.admin.message_actions import ACTIONS
from messaging.admin.message_export import columns
from messaging.admin.message_page import message_page
from messaging.admin.message_search import search
from messaging.admin.status_styles import TONES
from messaging.console import audit, csv_export
from messaging.console.filters import CreatedFilter
from messaging.console.keyset import KeysetChangeList
from messaging.console.model_admin import KeysetMixin, ReadOnlyAdmin
from messaging.models import Message
from messaging.services.outbound import waiting
from messaging.states import ENDED_BADLY, Direction, Status


def export(request: HttpRequest, model_admin: "MessageAdmin") -> StreamingHttpResponse | HttpResponseRedirect:
    """What the list shows with the filters and the search of this address, and all its further pages."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        rows = model_admin.get_changelist_instance(request).queryset
    except IncorrectLookupParameters:  # as the list does it; nothing leaves as if it were filtered
        return HttpResponseRedirect(f"{reverse('admin:messaging_message_changelist')}?{ERROR_FLAG}=1")
    audit.record_on_table(request.user, Message, f"Exported as CSV: {request.GET.urlencode() or 'all'}.")
    return csv_export.stream(
        csv_export.newest_first(rows), columns(readable=text_privacy.may_read(request.user)), filename="messages.csv"
    )


@admin.register(Message)
class MessageAdmin(KeysetMixin, ReadOnlyAdmin):
    list_display = ["created", "status_label", "person", "text_start", "queue", "provider", "error"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ("direction", ChoicesRadioFilter),
        ("queue", RelatedCheckboxFilter),
        ("provider", RelatedCheckboxFilter),
        CreatedFilter,
    ]
    list_select_related = ["queue", "provider"]
    search_fields = ["to_number"]  # `get_search_results` is what searches
    search_help_text = "Number, id, provider's id or reference"
    change_form_template = "admin/messaging/message/detail.html"
    row_actions = ACTIONS
    custom_urls = (
        ("send/", "messaging_message_send", compose),
        ("measure/", "messaging_message_measure", measure),
        ("export/", "messaging_message_export", export),
    )

    # --- The list -----------------------------------------------------------------------------------------------------

    def prepare(self, request: HttpRequest, rows: list[Message]) -> None:
        readable = text_privacy.may_read(request.user)
        waits = waiting.find(rows, now=timezone.now(), sees_all=True)
        for row in rows:
            row.shown_text = text_privacy.shown_text(row, readable=readable)
            row.shown_error = waits[row.pk].code if row.pk in waits else row.error_code

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return search(queryset, search_term), False

    def finds_by_index(self, changelist: KeysetChangeList) -> bool:
        statuses = set(changelist.filter_params.get("status__exact", []))
        return bool(
            changelist.query or "schedule" in changelist.filter_params or (statuses and statuses.issubset(ENDED_BADLY))
        )

    @display(description="Created")
    def created(self, row: Message) -> datetime:
        return row.created_at

    @display(description="Status", label=TONES)
    def status_label(self, row: Message) -> str:
        return Status(row.status)

    @display(description="To or from")
    def person(self, row: Message) -> str:
        return self.title_of(row)

    @display(description="Text")
    def text_start(self, row: Message) -> str:
        return truncatechars(row.shown_text, 48)

    @display(description="Error", empty_value="")
    def error(self, row: Message) -> str:
        return row.shown_error

    def title_of(self, obj: Message) -> str:
        return f"From {obj.from_number}" if obj.direction == Direction.INBOUND else f"To {obj.to_number}"

    # --- Beyond the list ----------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "may_send": request.user.has_perm(MAY_SEND)})

    def render_change_form(
        self, request: HttpRequest, context: dict, *args: Any, obj: Model | None = None, **kwargs: Any
    ):
        page = message_page(obj, user=request.user)
        page |= {"may_send": request.user.has_perm(MAY_SEND)}
        return super().render_change_form(request, {**context, **page}, *args, obj=obj, **kwargs)
