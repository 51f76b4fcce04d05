"""Rules of the hours in which texts may be sent, and what waits for which hour."""

import re
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from messaging.console.forms import StyledModelForm
from messaging.console.model_admin import ModelAdmin
from messaging.console.row_actions import RowAction
from messaging.models import HoursRule
from messaging.policy.hours import HELD_CATEGORIES, Day, Rule
from messaging.policy.rules import CLOSED, InvalidRule, check, in_words, parse_hours
from messaging.services.outbound import held, hours_rules

MAY_CHANGE = "messaging.change_hoursrule"
MAY_SEE_MESSAGES = "messaging.view_message"
SHOWN = 6  # of the countries and prefixes of a rule in the list
TONES = {"on": "success", "off": "warning"}
# The fields of the form and their days, Monday first.
WEEK = {"weekdays": range(5), "saturday": (5,), "sunday": (6,)}


def _switch(is_enabled: bool, pk: Any, _user: User, _reason: str) -> HoursRule:
    return hours_rules.switch(rule_id=pk, is_enabled=is_enabled, now=timezone.now())


ACTIONS = (
    RowAction(
        name="switch_on_selected",
        title="Switch on",
        done="switched on",
        permission=MAY_CHANGE,
        icon="toggle_on",
        run=partial(_switch, True),
        is_available=lambda row: not row.is_enabled,
    ),
    RowAction(
        name="switch_off_selected",
        title="Switch off",
        done="switched off",
        permission=MAY_CHANGE,
        icon="toggle_off",
        run=partial(_switch, False),
        warning="Messages that wait for this rule alone are sent within seconds.",
        is_available=lambda row: row.is_enabled,
    ),
)


class HoursRuleForm(StyledModelForm):
    countries_text = forms.CharField(
        label="Countries", required=False, max_length=500, help_text="Two letters each, such as DE, AT, CH."
    )
    prefixes_text = forms.CharField(
        label="Prefixes",
        required=False,
        max_length=1_000,
        help_text="Such as +1512. Without countries and prefixes the rule is for all numbers.",
    )
    for_categories = forms.MultipleChoiceField(
        label="Categories",
        choices=[(word, word) for word in sorted(HELD_CATEGORIES)],
        initial=["marketing"],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="One-time passwords and emergencies are sent at any hour.",
    )
    weekdays = forms.CharField(
        label="Monday to Friday",
        max_length=11,
        initial="08:00-21:00",
        help_text=f"From and to in the recipient's own time, such as 08:00-21:00, or {CLOSED}.",
    )
    saturday = forms.CharField(max_length=11, initial="08:00-21:00")
    sunday = forms.CharField(max_length=11, initial=CLOSED)

    class Meta:
        model = HoursRule
        fields = ["id", "name", "holidays", "effective_from", "effective_until", "source"]
        labels = {"id": "Id", "holidays": "Closed on holidays of"}
        help_texts = {
            "id": "Shown as the reason of a message that waits, such as at-evening.",
            "holidays": "A country such as FR, or a part of it such as DE-BY. Empty: holidays are days like others.",
            "effective_from": "The first day, by the recipient's calendar. Empty: it holds already.",
            "effective_until": "The last day. Empty: it has no end.",
            "source": "The law or agreement that the rule follows.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = self.instance
        if row.pk and "weekdays" in self.fields:
            self.fields["countries_text"].initial = ", ".join(row.countries)
            self.fields["prefixes_text"].initial = ", ".join(row.prefixes)
            self.fields["for_categories"].initial = row.categories
            rule = row.as_rule()
            for name, days in WEEK.items():
                self.fields[name].initial = in_words([rule.hours[days[0]]] * 7)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        row, week = self.instance, list[Day]([()] * 7)
        for name, days in WEEK.items():
            try:
                for day in days:
                    week[day] = parse_hours(cleaned[name].strip())
            except InvalidRule as error:
                self.add_error(name, str(error))
        row.countries, row.prefixes = _words(cleaned["countries_text"].upper()), _words(cleaned["prefixes_text"])
        row.categories, row.hours = cleaned["for_categories"], [[list(span) for span in day] for day in week]
        if not self.errors:
            self._check(cleaned)
        return cleaned

    def _check(self, cleaned: dict[str, Any]) -> None:
        """The order of the dates is checked by the constraint of the model."""
        row = self.instance
        rule = Rule(
            id=cleaned.get("id") or row.pk,
            categories=frozenset(row.categories),
            hours=tuple(tuple((opens, closes) for opens, closes in day) for day in row.hours),
            countries=frozenset(row.countries),
            prefixes=tuple(row.prefixes),
            name=cleaned["name"],
            holidays=cleaned["holidays"],
        )
        try:
            check(rule)
        except InvalidRule as error:
            self.add_error(None, str(error))


def _words(text: str) -> list[str]:
    return sorted(set(re.findall(r"[^\s,;]+", text)))


def held_page(request: HttpRequest, model_admin: "HoursRuleAdmin") -> HttpResponse:
    """What waits for which hour. It names no recipients."""
    if not (model_admin.has_view_permission(request) and request.user.has_perm(MAY_SEE_MESSAGES)):
        raise PermissionDenied
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "content_title": "Held by hours",
        "title": "Held by hours",
        "groups": held.groups(),
        "shown": held.SHOWN,
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/messaging/hoursrule/held.html", context)


@admin.register(HoursRule)
class HoursRuleAdmin(ModelAdmin):
    form = HoursRuleForm
    list_title = "Hours"
    list_display = ["id", "name", "state", "numbers", "of_categories", "hours_text", "source"]
    sortable_by = ["id"]
    row_actions = ACTIONS
    custom_urls = (("held/", "messaging_hoursrule_held", held_page),)
    shown_fields = (
        *("id", "name", "state", "all_numbers", "of_categories", "hours_text", "holidays"),
        *("effective_from", "effective_until", "source"),
    )
    form_fields = (
        *("name", "countries_text", "prefixes_text", "for_categories", *WEEK, "holidays"),
        *("effective_from", "effective_until", "source"),
    )

    def get_fields(self, request: HttpRequest, obj: HoursRule | None = None) -> tuple[str, ...]:
        """A rule is switched on and off by row actions, which ask for a reason."""
        if obj is None:
            return ("id", *self.form_fields)
        return ("id", "state", *self.form_fields) if self.has_change_permission(request, obj) else self.shown_fields

    def get_readonly_fields(self, request: HttpRequest, obj: HoursRule | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("id", "state") if self.has_change_permission(request, obj) else self.shown_fields

    def has_change_permission(self, request: HttpRequest, obj: HoursRule | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj is not None and obj.is_shipped)

    def has_delete_permission(self, request: HttpRequest, obj: HoursRule | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj is not None and obj.is_shipped)

    def save_model(self, request: HttpRequest, obj: HoursRule, form: HoursRuleForm, change: bool) -> None:
        hours_rules.save(obj, now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: HoursRule) -> None:
        hours_rules.remove(rule_id=obj.pk, now=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[HoursRule]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            hours_rules.remove(rule_id=pk, now=timezone.now())

    @display(description="State", label=TONES)
    def state(self, row: HoursRule) -> str:
        return "on" if row.is_enabled else "off"

    @display(description="Numbers")
    def numbers(self, row: HoursRule) -> str:
        found = [*row.countries, *row.prefixes]
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return f"{', '.join(found[:SHOWN])}{more}" if found else "all"

    @display(description="Numbers")
    def all_numbers(self, row: HoursRule) -> str:
        return ", ".join([*row.countries, *row.prefixes]) or "all"

    @display(description="Categories")
    def of_categories(self, row: HoursRule) -> str:
        return ", ".join(row.categories)

    @display(description="Hours")
    def hours_text(self, row: HoursRule) -> str:
        closed = f"; closed on holidays of {row.holidays}" if row.holidays else ""
        return f"{row.hours_in_words}{closed}"
