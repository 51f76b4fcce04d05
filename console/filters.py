"""Filters of lists beyond those of unfold."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date

from console.forms import StyledForm


class PeriodForm(StyledForm):
    created_from = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    created_to = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))


class CreatedFilter(admin.ListFilter):
    """Created from the one day to the other, both included, in UTC."""

    title = "day"
    template = "unfold/filters/filters_field.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {name: params.pop(name)[-1] for name in self.expected_parameters() if name in params}

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str]:
        return ["created_from", "created_to"]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {"form": PeriodForm(data=self.used_parameters)}

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        first, last = (_midnight(self.used_parameters.get(name)) for name in self.expected_parameters())
        if first:
            queryset = queryset.filter(created_at__gte=first)
        if last:
            queryset = queryset.filter(created_at__lt=last + timedelta(days=1))
        return queryset


def _midnight(text: str | None) -> datetime | None:
    try:
        day = parse_date(text or "")
    except ValueError:
        return None
    return datetime.combine(day, time(), UTC) if day else None
