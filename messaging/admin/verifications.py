"""Verifications: what became of each, and its sends. The code is on no page, because it is nowhere."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from messaging.console.columns import name_of
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ReadOnlyAdmin
from messaging.console.row_actions import RowAction
from messaging.models import Message, Verification
from messaging.models.verification import MAX_SENDS, MAX_TRIES
from messaging.services.errors import VerificationEnded
from messaging.services.limits import conversion
from messaging.services.verification import check as checks

TONES = {
    "pending": "info",
    "approved": "success",
    "canceled": "warning",
    "expired": "warning",
    "max attempts reached": "danger",
}
NOTHING = "none: they are deleted"
MAY_SEE_CONVERSION = "messaging.view_verificationcount"
# The page of conversion: its periods, in days, and how many groups it shows.
PERIODS, DEFAULT_PERIOD, GROUPS_SHOWN = {1: "day", 7: "week", 30: "month"}, 7, 200


def _cancel(pk: Any, _user: User, _reason: str) -> Verification:
    return checks.cancel(verification_id=pk, now=timezone.now())


ACTIONS = (
    RowAction(
        name="cancel_selected",
        title="Cancel",
        done="canceled",
        permission="messaging.change_verification",
        icon="cancel",
        run=_cancel,
        refusals=VerificationEnded,
        is_danger=True,
        warning="Their codes are not valid any more.",
        is_available=lambda row: checks.status_at(row, timezone.now()) == Verification.Status.PENDING,
    ),
)


def conversion_page(request: HttpRequest, model_admin: "VerificationAdmin") -> HttpResponse:
    """Of all owners, by prefix and account; those with the most codes missing come first."""
    if not (model_admin.has_view_permission(request) and request.user.has_perm(MAY_SEE_CONVERSION)):
        raise PermissionDenied
    wish = request.GET.get("days", "")
    days = int(wish) if wish in {str(each) for each in PERIODS} else DEFAULT_PERIOD
    today = timezone.now().astimezone(UTC).date()
    groups, whole = conversion.sums(
        since=today - timedelta(days=days - 1), until=today, group_by=conversion.GROUPS, limit=GROUPS_SHOWN
    )
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Conversion",
        "title": "Conversion",
        "groups": groups,
        "whole": conversion.Conversion({}, whole),
        "shown": GROUPS_SHOWN,
        "days": days,
        "periods": PERIODS,
    }
    return TemplateResponse(request, "admin/messaging/verification/conversion.html", context)


@admin.register(Verification)
class VerificationAdmin(KeysetAdmin, ReadOnlyAdmin):
    owner_name = name_of("owner", "Owner")
    list_display = ["created_at", "to_number", "state", "sends_label", "tries_label", "account", "owner_name"]
    list_filter = [("status", ChoicesCheckboxFilter)]
    list_select_related = ["owner"]
    search_fields = ["to_number"]
    search_help_text = "A whole number"
    fields = (
        *("to_number", "state", "sends_label", "tries_label", "messages", "account", "owner_name"),
        *("created_at", "last_sent_at", "expires_at", "ended_at"),
    )
    readonly_fields = fields
    row_actions = ACTIONS
    custom_urls = (("conversion/", "messaging_verification_conversion", conversion_page),)

    def title_of(self, obj: Verification) -> str:
        return f"Verification of {obj.to_number}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Verification]:
        return super().get_queryset(request).defer("text", "nonce")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Verification], search_term: str
    ) -> tuple[QuerySet[Verification], bool]:
        digits = "".join(character for character in search_term if character.isdecimal())
        return (queryset.filter(to_number=f"+{digits.removeprefix('00')}") if digits else queryset), False

    def finds_by_index(self, changelist: Any) -> bool:
        return bool(changelist.query)

    @display(description="Status", label=TONES)
    def state(self, row: Verification) -> str:
        now: datetime = timezone.now()
        return checks.status_at(row, now).replace("_", " ")

    @display(description="Sends")
    def sends_label(self, row: Verification) -> str:
        return f"{row.sends} of {MAX_SENDS}"

    @display(description="Tries")
    def tries_label(self, row: Verification) -> str:
        return f"{row.tries} of {MAX_TRIES}"

    @display(description="Sent by", empty_value="-")
    def account(self, row: Verification) -> str:
        return row.provider_slug

    @display(description="Messages")
    def messages(self, row: Verification) -> str:
        rows = Message.objects.filter(pk__in=row.message_ids).order_by("pk").values_list("pk", "status", "error_code")
        links = format_html_join(
            "",
            '<li><a class="sb-link" href="/admin/messaging/message/{0}/change/">{0}</a> {1} {2}</li>',
            rows,
        )
        return format_html_join("", "<ul>{}</ul>", [(links,)]) if links else NOTHING
