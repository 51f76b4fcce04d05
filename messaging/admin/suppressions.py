"""Who must get nothing, and the words with which people say so."""

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
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import KeysetMixin, ModelAdmin
from messaging.models import KeywordRule, Suppression
from messaging.services.recipients import suppressions
from providers.models import SenderNumber

WORDS = ", ".join(word for words in keywords.DEFAULT_WORDS.values() for word in words)
TONES = {"keyword": "warning", "provider": "info", "api": "info", "admin": "primary"}


class SuppressionForm(StyledModelForm):
    number = forms.CharField(
        max_length=e164.MAX_INPUT, help_text="With + and the country code, such as +1 415 555 0101."
    )
    sender = forms.ChoiceField(required=False, help_text="From which of our numbers nothing may come.")

    class Meta:
        model = Suppression
        fields = ["number", "sender", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "reason" not in self.fields:  # on the page of one that is only looked at
            return
        own = [str(number) for number in SenderNumber.objects.values_list("number", flat=True)]
        self.fields["sender"].choices = [("", "from all of them"), *((number, number) for number in own)]
        self.fields["reason"].required = True

    def clean_number(self) -> str:
        try:
            return e164.normalise(self.cleaned_data["number"])
        except e164.InvalidNumber as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Suppression)
class SuppressionAdmin(KeysetMixin, ModelAdmin):
    form = SuppressionForm
    reason_field = "reason"
    created_by_name = name_of("created_by", "Created by")
    list_display = ["number", "what_for", "source_label", "reason", "created_at"]
    list_filter = [("source", ChoicesCheckboxFilter)]
    search_fields = ["number"]
    search_help_text = "The start of a number"

    def get_fields(self, request: HttpRequest, obj: Suppression | None = None) -> list[str]:
        if obj is None:
            return ["number", "sender", "reason"]
        return ["number", "what_for", "source_label", "reason", "created_at", "created_by_name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Suppression | None = None) -> list[str]:
        return self.get_fields(request, obj) if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        return False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
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
            actor=request.user,
        )
        obj.pk = kept.pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        suppressions.remove(suppression_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            suppressions.remove(suppression_id=pk)

    @display(description="From")
    def what_for(self, row: Suppression) -> str:
        return row.sender or "all our numbers"

    @display(description="Because of", label=TONES)
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
    nothing_yet = f"At every number these words hold: {WORDS}. A rule puts other words or another reply in their place."
    list_display = ["action", "where", "reply"]
    list_select_related = ["sender_number"]

    @display(description="At")
    def where(self, row: KeywordRule) -> str:
        return str(row.sender_number or "every number without a rule of its own")
