"""Phone numbers, and whether messages to them are accepted."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesRadioFilter
from unfold.decorators import display

from messaging.console.model_admin import ModelAdmin, ReadOnlyMixin
from messaging.console.row_actions import RowAction
from messaging.models import PhoneNumber
from messaging.services.privacy.export import PERMISSION
from messaging.services.recipients import phone_numbers

MAY_CHANGE = "messaging.change_phonenumber"
TONES = {"active": "success", "inactive": "danger"}
Status = PhoneNumber.Status


def _set_status(status: str, pk: Any, _user: User, reason: str) -> PhoneNumber:
    return phone_numbers.set_status(number=pk, status=status, reason=reason, now=timezone.now())


ACTIONS = (
    RowAction(
        name="activate_selected",
        title="Activate",
        done="activated",
        permission=MAY_CHANGE,
        icon="check_circle",
        run=partial(_set_status, Status.ACTIVE),
        is_available=lambda row: row.status == Status.INACTIVE,
    ),
    RowAction(
        name="deactivate_selected",
        title="Deactivate",
        done="deactivated",
        permission=MAY_CHANGE,
        icon="block",
        run=partial(_set_status, Status.INACTIVE),
        is_danger=True,
        warning="New messages to these numbers are refused.",
        is_available=lambda row: row.status == Status.ACTIVE,
    ),
)


@admin.register(PhoneNumber)
class PhoneNumberAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ["number", "state", "reason", "changed_at", "created_at"]
    list_filter = [("status", ChoicesRadioFilter)]
    search_fields = ["number__startswith"]
    search_help_text = "The start of a number"
    fields = ("number", "state", "reason", "changed_at", "created_at", "messages")
    readonly_fields = fields
    sortable_by = ["number"]
    row_actions = ACTIONS

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PhoneNumber], search_term: str
    ) -> tuple[QuerySet[PhoneNumber], bool]:
        digits = "".join(character for character in search_term if character.isdecimal())
        return (queryset.filter(number__startswith=f"+{digits.removeprefix('00')}") if digits else queryset), False

    def page_links(self, request: HttpRequest, obj: PhoneNumber) -> list[dict[str, str]]:
        if not request.user.has_perm(PERMISSION):
            return []
        url = reverse("phone-numbers-export", args=[obj.number])
        return [{"title": "Export this person", "icon": "download", "url": url}]

    @display(description="Status", label=TONES)
    def state(self, row: PhoneNumber) -> str:
        return row.status

    @display(description="Messages")
    def messages(self, row: PhoneNumber) -> str:
        return format_html(
            '<a class="sb-link" href="/admin/messaging/message/?q=%2B{}">All messages with this number</a>',
            row.number[1:],
        )
