"""Filters of lists beyond those of unfold."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.db.models import DateField, Model, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date

from messaging.console.forms import StyledForm


def parameters(model: type[Model], list_filter: Iterable[Any]) -> set[str]:
    """All that the filters of a list ask for in its address. A filter with a name of its own has it in `parameter_name`, or
    several of them in `parameters`.
    """
    found: set[str] = set()
    for item in list_filter:
        if isinstance(item, type):
            found |= set(getattr(item, "parameters", None) or (item.parameter_name,))
            continue
        path = item if isinstance(item, str) else item[0]
        field = get_fields_from_path(model, path)[-1]
        found |= {path, f"{path}__exact", f"{path}__isnull"}
        if field.is_relation:
            found.add(f"{path}__{field.target_field.name}__exact")
        elif isinstance(field, DateField):
            found |= {f"{path}__gte", f"{path}__lt"}
    return found


class PeriodForm(StyledForm):
    created_from = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    created_to = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))


# So far may a row's own time be from the moment that its key was made: the clocks of two hosts, a slow transaction.
SLACK = timedelta(hours=1)
LAST_DAY = date(9999, 12, 30)


class CreatedFilter(admin.ListFilter):
    """Created from the one day to the other, both included, in UTC.

    For tables whose keys are UUIDv7: these begin with the time, so the list's own index leads to the days.
    """

    title = "day"
    template = "unfold/filters/filters_field.html"
    parameters = ("created_from", "created_to")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.used_parameters = {name: params.pop(name)[-1] for name in self.expected_parameters() if name in params}
        for text in filter(None, self.used_parameters.values()):
            if _day(text) is None:
                messages.error(request, f"{text[:40]} is no day, so there is no such filter. Write it as 2026-12-01.")
                raise IncorrectLookupParameters

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str]:
        return list(self.parameters)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {"form": PeriodForm(data=self.used_parameters)}

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        start, end = self._period()
        oldest, newest = self.keys()
        if start:
            queryset = queryset.filter(created_at__gte=start, pk__gte=oldest)
        if end:
            queryset = queryset.filter(created_at__lt=end, pk__lt=newest)
        return queryset

    def keys(self) -> tuple[UUID | None, UUID | None]:
        """No row of the period has a key below the first or from the second on."""
        start, end = self._period()
        return (_key_at(start - SLACK) if start else None), (_key_at(end + SLACK) if end else None)

    def _period(self) -> tuple[datetime | None, datetime | None]:
        first, last = (_day(self.used_parameters.get(name)) for name in self.expected_parameters())
        return (_midnight(first) if first else None), (_midnight(last + timedelta(days=1)) if last else None)


def _day(text: str | None) -> date | None:
    try:
        day = parse_date(text or "")
    except ValueError:
        return None
    return min(max(day, date(1970, 1, 2)), LAST_DAY) if day else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _key_at(moment: datetime) -> UUID:
    """The least UUIDv7 of that millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
