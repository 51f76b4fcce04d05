"""Callbacks as providers sent them, with secrets masked, and texts masked for users without the permission."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RelatedCheckboxFilter
from unfold.decorators import display

from messaging.admin import text_privacy
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ReadOnlyAdmin
from messaging.console.staff import staff_of
from messaging.models import ProviderCallback

TONES = {"unmatched": "warning", "applied": "success", "ignored": "info", "malformed": "danger"}


@admin.register(ProviderCallback)
class ProviderCallbackAdmin(KeysetAdmin, ReadOnlyAdmin):
    list_title = "Callbacks received"
    list_display = ["received_at", "provider", "raw_status", "state_label", "provider_message_id", "error_code", "note"]
    list_filter = [("state", ChoicesCheckboxFilter), ("provider", RelatedCheckboxFilter)]
    list_select_related = ["provider"]
    search_fields = ["provider_message_id__startswith"]
    search_help_text = "The provider's message id"

    @display(description="Raw status")
    def raw_status(self, row: ProviderCallback) -> str:
        return row.word

    @display(description="State", label=TONES)
    def state_label(self, row: ProviderCallback) -> str:
        return row.state

    def get_fields(self, request: HttpRequest, obj: ProviderCallback | None = None) -> tuple[str, ...]:
        may_read = text_privacy.may_read(staff_of(request))
        return (
            *(
                "received_at",
                "provider",
                "raw_status",
                "reported",
                "error_code",
                "state",
                "note",
                "provider_message_id",
            ),
            "message_link",
            "content" if may_read else "content_without_texts",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderCallback | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj)

    @display(description="Message")
    def message_link(self, row: ProviderCallback) -> str:
        if row.message_id is None:
            return "none yet"
        return format_html('<a class="sb-link" href="/admin/messaging/message/{0}/change/">{0}</a>', row.message_id)

    @display(description="Content")
    def content(self, row: ProviderCallback) -> str:
        return _content(row, readable=True)

    @display(description="Content")
    def content_without_texts(self, row: ProviderCallback) -> str:
        return _content(row, readable=False)


def _content(row: ProviderCallback, *, readable: bool) -> str:
    fields = text_privacy.shown_callback(row, readable=readable)
    if isinstance(fields, str):
        return fields
    lines = format_html_join("", "<dt>{}</dt><dd>{}</dd>", fields)
    return format_html('<dl class="sb-facts sb-mono">{}</dl>', lines)
