"""Which kinds of sender a country takes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import CountrySenders
from messaging.policy.sender_rules import InvalidSenderRule, SenderRule, check, in_words
from messaging.services.outbound import sender_rules
from providers.senders import SenderKind

TAKES = ("takes_numbers", "takes_short_codes", "takes_names")
TONES = {"on": "success", "off": "warning"}


class CountrySendersForm(StyledModelForm):
    class Meta:
        model = CountrySenders
        fields = ["country", *TAKES, "source", "is_enabled"]
        labels = {
            "takes_numbers": "Takes numbers",
            "takes_short_codes": "Takes short codes",
            "takes_names": "Takes names",
            "is_enabled": "On",
        }
        help_texts = {
            "country": "Two letters, such as US.",
            "source": "Where it is written.",
            "is_enabled": "A text with a sender that is not taken gets its owner's fallback sender, or is refused.",
        }

    def clean_country(self) -> str:
        country: str = self.cleaned_data["country"].upper()
        return country

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        country = cleaned.get("country") or self.instance.pk
        takes = {kind for kind, name in zip(SenderKind, TAKES, strict=True) if cleaned.get(name)}
        try:
            if country:
                check(SenderRule(country, frozenset(takes)))
        except InvalidSenderRule as error:
            raise forms.ValidationError(str(error)) from None
        return cleaned


@admin.register(CountrySenders)
class CountrySendersAdmin(ModelAdmin):
    form = CountrySendersForm
    list_title = "Senders by country"
    empty_list_note = "A country without a row takes every kind of sender."
    list_display = ["country", "state", "taken", "source"]

    def get_fields(self, request: HttpRequest, obj: CountrySenders | None = None) -> tuple[str, ...]:
        return ("country", *TAKES, "source", "is_enabled")

    def get_readonly_fields(self, request: HttpRequest, obj: CountrySenders | None = None) -> tuple[str, ...]:
        return ("country",) if obj else ()

    def save_model(self, request: HttpRequest, obj: CountrySenders, form: CountrySendersForm, change: bool) -> None:
        obj.save()
        sender_rules.expire()

    def delete_model(self, request: HttpRequest, obj: CountrySenders) -> None:
        obj.delete()
        sender_rules.expire()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[CountrySenders]) -> None:
        queryset.delete()
        sender_rules.expire()

    @display(description="State", label=TONES)
    def state(self, row: CountrySenders) -> str:
        return "on" if row.is_enabled else "off"

    @display(description="Takes")
    def taken(self, row: CountrySenders) -> str:
        return ", ".join(in_words(kind) for kind in SenderKind if kind in row.as_rule().takes)
