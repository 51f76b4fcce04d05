"""Budgets of owners, with a bar of how much is used."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from messaging.console.attached import Attached
from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.models import Budget
from messaging.policy.budgets import WARN_PERCENT, end_of, start_of, to_amount
from messaging.services.costs import budget_changes, budgets
from messaging.services.errors import InvalidField
from providers.contract.currencies import CURRENCIES
from providers.numbers import COUNTRIES

FULL = 100
USED = Attached[int]("used_now")


class BudgetForm(StyledModelForm):
    amount = forms.DecimalField(
        label="Limit",
        min_value=0,
        max_value=budget_changes.MAX_LIMIT,
        max_digits=19,
        decimal_places=6,
        help_text="Segments or, with a currency, an amount of money.",
    )

    class Meta:
        model = Budget
        fields = ["owner", "country", "period", "currency"]
        help_texts = {
            "country": "Two letters, such as DE. Empty: all countries.",
            "period": "A day or a month of UTC.",
            "currency": "Such as EUR: then prices are counted. Empty: segments.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.created_at is not None and "amount" in self.fields:
            self.fields["amount"].initial = f"{self.instance.limit.normalize():f}"

    def clean_country(self) -> str:
        return _one_of(self.cleaned_data["country"].upper(), COUNTRIES, "This is not a country.")

    def clean_currency(self) -> str:
        return _one_of(self.cleaned_data["currency"].upper(), CURRENCIES, "This is not a currency of ISO 4217.")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        currency = cleaned.get("currency", self.instance.currency)
        if "amount" in cleaned and currency is not None:
            try:
                self.instance.limit_units = budget_changes.units_of(cleaned["amount"], currency)
            except InvalidField as error:
                self.add_error("amount", error.detail)
        return cleaned


def _one_of(word: str, known: Any, message: str) -> str:
    if word and word not in known:
        raise ValidationError(message)
    return word


@admin.register(Budget)
class BudgetAdmin(ModelAdmin):
    form = BudgetForm
    list_display = ["owner", "numbers", "period", "limit_text", "use", "ends"]
    sortable_by = ["owner"]
    list_select_related = ["owner"]
    set_once = ("owner", "country", "period", "currency")
    shown = ("owner_name", "country", "period", "currency")

    def prepare(self, request: HttpRequest, rows: list[Budget]) -> None:
        used = budgets.used_now(rows, now=timezone.now())
        for row in rows:
            USED.set(row, used[row.pk])

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Budget | None:
        row: Budget | None = super().get_object(request, object_id, from_field)
        if row is not None:
            self.prepare(request, [row])
        return row

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        if obj is None:
            return (*self.set_once, "amount")
        return (*self.shown, "amount" if self.has_change_permission(request, obj) else "limit_text", "use", "ends")

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        return () if obj is None else (*self.shown, "limit_text", "use", "ends")

    def save_model(self, request: HttpRequest, obj: Budget, form: BudgetForm, change: bool) -> None:
        limit: Decimal = form.cleaned_data["amount"]
        if change:
            budget_changes.change_limit(budget_id=obj.pk, limit=limit, now=timezone.now())
            return
        row = budget_changes.create(
            owner=obj.owner,
            country=obj.country,
            period=obj.period,
            limit=limit,
            currency=obj.currency,
            now=timezone.now(),
        )
        obj.pk = row.pk

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        budget_changes.remove(budget_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            budget_changes.remove(budget_id=pk)

    @display(description="Owner")
    def owner_name(self, row: Budget) -> str:
        return row.owner.get_username()

    @display(description="Numbers")
    def numbers(self, row: Budget) -> str:
        return row.country or "all"

    @display(description="Limit")
    def limit_text(self, row: Budget) -> str:
        return f"{row.limit.normalize():,f} {row.currency or 'segments'}"

    @display(description="Period ends")
    def ends(self, row: Budget) -> str:
        return f"{end_of(row.period, start_of(row.period, timezone.now())):%Y-%m-%d %H:%M} UTC"

    @display(description="Used")
    def use(self, row: Budget) -> SafeString:
        used = USED.of(row)
        percent = used * FULL // row.limit_units if row.limit_units else FULL
        return format_html(
            '<span class="sb-share"><span>{} of {} ({} %)</span>'
            '<progress data-tone="{}" max="100" value="{}" aria-label="{} % used"></progress></span>',
            f"{to_amount(used, row.currency).normalize():,f}",
            f"{row.limit.normalize():,f}",
            f"{percent:,}",
            "bad" if percent >= FULL else "warn" if percent >= WARN_PERCENT else "good",
            min(FULL, percent),
            percent,
        )
