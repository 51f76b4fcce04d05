"""The audit log: every change by staff, with user, time and reason. Read-only."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from messaging.console.attached import Attached
from messaging.console.columns import name_of
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ReadOnlyAdmin
from messaging.console.staff import staff_of

READER = Attached[User]("reader")
CHANGES = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}
TONES = {"added": "success", "changed": "info", "deleted": "danger"}


@admin.register(LogEntry)
class AuditAdmin(KeysetAdmin, ReadOnlyAdmin):
    list_display = ["when", "user", "kind", "model_label", "row", "explanation"]
    fields = readonly_fields = ("action_time", "user_name", "kind", "model_label", "row", "explanation")
    user_name = name_of("user", "User")
    list_title = "Audit log"
    list_filter = [("action_flag", ChoicesCheckboxFilter)]
    list_select_related = ["user", "content_type"]
    search_fields = ["user__username__startswith", "object_id"]
    search_help_text = "A user name, or a full id"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(user__username=term) | queryset.filter(object_id=term), False

    def prepare(self, request: HttpRequest, rows: list[LogEntry]) -> None:
        for row in rows:
            READER.set(row, staff_of(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LogEntry | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            self.prepare(request, [found])
        return found

    @display(description="When")
    def when(self, entry: LogEntry) -> datetime:
        return entry.action_time

    @display(description="Change", label=TONES)
    def kind(self, entry: LogEntry) -> str:
        return CHANGES.get(entry.action_flag, "changed")

    @display(description="Type")
    def model_label(self, entry: LogEntry) -> str:
        model = entry.content_type.model_class() if entry.content_type else None
        return str(model._meta.verbose_name) if model else "-"  # noqa: SLF001 (public in all but its name)

    @display(description="Object")
    def row(self, entry: LogEntry) -> str:
        kind = entry.content_type
        if entry.is_deletion() or not entry.object_id or not kind or not _may_open(READER.of(entry), kind):
            return entry.object_repr
        try:
            link = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[entry.object_id])
        except NoReverseMatch:
            return entry.object_repr
        return format_html('<a class="sb-link" href="{}">{}</a>', link, entry.object_repr)

    @display(description="Details and reason")
    def explanation(self, entry: LogEntry) -> str:
        return entry.get_change_message() or "-"


def _may_open(reader: User, kind: ContentType) -> bool:
    return any(reader.has_perm(f"{kind.app_label}.{verb}_{kind.model}") for verb in ("view", "change"))
