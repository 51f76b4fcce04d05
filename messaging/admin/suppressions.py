"""Suppressed numbers, and the keywords with which recipients opt out."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from messaging import e164, keywords
from messaging.console.columns import name_of
from messaging.console.forms import StyledModelForm, set_choices
from messaging.console.keyset import KeysetAdmin
from messaging.console.model_admin import ModelAdmin
from messaging.console.staff import staff_of
from messaging.models import KeywordRule, Suppression
from messaging.services.recipients import suppressions
from providers.models import SenderNumber

WORDS = ", ".join(word for words in keywords.DEFAULT_WORDS.values() for word in words)
TONES = {"keyword": "warning", "provider": "info", "api": "info", "admin": "primary"}


class SuppressionForm(StyledModelForm):
    number = forms.CharField(
        max_length=e164.MAX_INPUT, help_text="With + and the country code, such as +1 415 555 0101."
    )
    sender = forms.ChoiceField(required=False, help_text="Messages from this sender number are blocked.")

    class Meta:
        model = Suppression
        fields = ["number", "sender", "reason"]

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


@admin.register(Suppression)
class SuppressionAdmin(KeysetAdmin):
    form = SuppressionForm
    reason_field = "reason"
    created_by_name = name_of("created_by", "Created by")
    list_display = ["number", "sender_label", "source_label", "reason", "created_at"]
    list_filter = [("source", ChoicesCheckboxFilter)]
    search_fields = ["number"]
    search_help_text = "The start of a number"

    def get_fields(self, request: HttpRequest, obj: Suppression | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("number", "sender", "reason")
        return ("number", "sender_label", "source_label", "reason", "created_at", "created_by_name")

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
        kept, _ = suppressions.add(
            number=obj.number,
            sender=obj.sender,
            source=Suppression.Source.ADMIN,
            reason=obj.reason,
            now=timezone.now(),
            actor=staff_of(request),
        )
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
        return row.source


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
