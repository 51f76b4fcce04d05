"""Suppressed numbers, and the keywords with which recipients opt out."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from messaging import e164, keywords
from messaging.console import audit, csv_export
from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm, set_choices
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ModelAdmin
from messaging.console.staff import staff_of
from messaging.models import KeywordRule, Suppression
from messaging.services.errors import InvalidField
from messaging.services.recipients import opt_out_cases, suppressions
from messaging.services.representation import isoformat_utc
from providers.models import SenderNumber

WORDS = ", ".join(word for words in keywords.DEFAULT_WORDS.values() for word in words)
TONES = {"keyword": "warning", "provider": "info", "api": "info", "admin": "primary"}
CHANNELS = [
    ("", "not known"),
    *(choice for choice in Suppression.Channel.choices if choice[0] in suppressions.CHANNELS),
]
COLUMNS: dict[str, Callable[[Suppression], Any]] = {
    "id": lambda row: row.pk,
    "number": lambda row: row.number,
    "sender": lambda row: row.sender,
    "source": lambda row: row.origin,
    "requested_at": lambda row: isoformat_utc(row.requested_at),
    "reason": lambda row: row.reason,
    "note": lambda row: row.note,
    "created_at": lambda row: isoformat_utc(row.created_at),
}


def export(request: HttpRequest, model_admin: "SuppressionAdmin") -> StreamingHttpResponse | HttpResponseRedirect:
    """Export all rows that match the filters and the search of this URL."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        rows = model_admin.get_changelist_instance(request).queryset
    except IncorrectLookupParameters:  # same as the list: an invalid filter must not export everything
        return HttpResponseRedirect(f"{reverse('admin:messaging_suppression_changelist')}?{ERROR_FLAG}=1")
    audit.record_on_table(staff_of(request), Suppression, f"Exported as CSV: {request.GET.urlencode() or 'all'}.")
    return csv_export.stream(csv_export.newest_first(rows), COLUMNS, filename="suppressions.csv")


class SuppressionForm(StyledModelForm):
    number = forms.CharField(
        max_length=e164.MAX_INPUT, help_text="With + and the country code, such as +1 415 555 0101."
    )
    sender = forms.ChoiceField(required=False, help_text="Messages from this sender number are blocked.")
    channel = forms.ChoiceField(
        label="Source", required=False, choices=CHANNELS, help_text="How the person said so, if a person did."
    )
    requested_at = forms.DateTimeField(
        label="Said at",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="In UTC. When the letter or e-mail arrived, or the call was made.",
    )
    note = forms.CharField(
        required=False,
        max_length=suppressions.MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What is worth knowing later, such as where the letter is kept.",
    )

    class Meta:
        model = Suppression
        fields = ["number", "sender", "channel", "requested_at", "note", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "reason" not in self.fields:  # on a read-only page
            return
        own = SenderNumber.objects.values_list("number", flat=True)
        set_choices(self.fields["sender"], [("", "all sender numbers"), *((number, number) for number in own)])
        self.fields["reason"].required = True

    def clean_number(self) -> str:
        try:
            return e164.normalise(self.cleaned_data["number"])
        except e164.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from None

    def clean_requested_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["requested_at"]
        try:
            suppressions.check_requested_at(at, now=timezone.now())
        except InvalidField as error:
            raise forms.ValidationError(error.detail) from None
        return at


@admin.register(Suppression)
class SuppressionAdmin(KeysetAdmin):
    form = SuppressionForm
    reason_field = "reason"
    created_by_name = name_of("created_by", "Created by")
    list_display = ["number", "sender_label", "source_label", "reason", "created_at"]
    list_filter = [("source", ChoicesCheckboxFilter), ("channel", ChoicesCheckboxFilter)]
    change_list_template = "admin/messaging/suppression/change_list.html"
    custom_urls = (("export/", "messaging_suppression_export", export),)
    search_fields = ["number"]
    search_help_text = "The start of a number"

    def get_fields(self, request: HttpRequest, obj: Suppression | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("number", "sender", "channel", "requested_at", "note", "reason")
        return (
            *("number", "sender_label", "source_label", "requested_at", "note"),
            *("reason", "created_at", "created_by_name"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Suppression | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        digits = "".join(character for character in search_term if character.isdecimal())
        return (queryset.filter(number__startswith=f"+{digits.removeprefix('00')}") if digits else queryset), False

    def finds_by_index(self, changelist: Any) -> bool:
        return bool(changelist.query)

    def save_model(self, request: HttpRequest, obj: Suppression, form: SuppressionForm, change: bool) -> None:
        now, actor = timezone.now(), staff_of(request)
        kept, _ = suppressions.add(
            number=obj.number,
            sender=obj.sender,
            source=Suppression.Source.ADMIN,
            channel=obj.channel,
            requested_at=obj.requested_at,
            note=obj.note,
            reason=obj.reason,
            now=now,
            actor=actor,
        )
        opt_out_cases.settle(number=obj.number, actor=actor, note="The number has been suppressed.", now=now)
        obj.pk = kept.pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        suppressions.remove(suppression_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            suppressions.remove(suppression_id=pk)

    @display(description="Sender")
    def sender_label(self, row: Suppression) -> str:
        return row.sender or "all sender numbers"

    @display(description="Source", label=TONES)
    def source_label(self, row: Suppression) -> str:
        return row.get_channel_display() if row.channel else row.source


class KeywordRuleForm(StyledModelForm):
    class Meta:
        model = KeywordRule
        fields = ["sender_number", "action", "words", "reply"]
        widgets = {"words": forms.Textarea(attrs={"rows": 4}), "reply": forms.Textarea(attrs={"rows": 2})}


@admin.register(KeywordRule)
class KeywordRuleAdmin(ModelAdmin):
    form = KeywordRuleForm
    list_title = "Keywords"
    empty_list_note = f"Every number reacts to these words: {WORDS}. A rule replaces the words or the reply."
    list_display = ["action", "where", "reply"]
    list_select_related = ["sender_number"]

    @display(description="Sender number")
    def where(self, row: KeywordRule) -> str:
        return str(row.sender_number or "all numbers without their own rule")
