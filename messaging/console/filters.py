"""List filters of our own, and the query parameters that filters accept."""

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
from django.db.models.fields.related import RelatedField
from django.http import HttpRequest
from django.utils.dateparse import parse_date

from messaging.console.forms import StyledForm


def parameters(model: type[Model], list_filter: Iterable[Any]) -> set[str]:
    """Return the query parameters that the filters of a list accept.

    Filter classes name theirs in `parameters` or `parameter_name`; for the others they follow from the field.
    """
    found: set[str] = set()
    for item in list_filter:
        if isinstance(item, type):
            found |= set(getattr(item, "parameters", None) or (getattr(item, "parameter_name", None),)) - {None}
            continue
        path = item if isinstance(item, str) else item[0]
        field = get_fields_from_path(model, path)[-1]
        found |= {path, f"{path}__exact", f"{path}__isnull"}
        if isinstance(field, RelatedField):  # also to many rows, such as the groups of users
            found.add(f"{path}__{field.target_field.name}__exact")
        elif isinstance(field, DateField):
            found |= {f"{path}__gte", f"{path}__lt"}
    return found


class PeriodForm(StyledForm):
    created_from = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    created_to = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))


# Maximum difference between `created_at` and the time in the UUIDv7 key: clock skew, slow transactions.
SLACK = timedelta(hours=1)
LAST_DAY = date(9999, 12, 30)


class CreatedFilter(admin.ListFilter):
    """Filter by day of creation, from and to included, in UTC.

    Requires UUIDv7 keys: they start with the time, so the primary key's index also serves this filter.
    """

    title = "day"
    template = "unfold/filters/filters_field.html"
    parameters = ("created_from", "created_to")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.days: dict[str, str] = {name: params.pop(name)[-1] for name in self.parameters if name in params}
        self.used_parameters = {**self.days}
        for text in filter(None, self.days.values()):
            if _day(text) is None:
                messages.error(request, f"{text[:40]} is not a valid day. Write it as 2026-12-01.")
                raise IncorrectLookupParameters

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameters)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {"form": PeriodForm(data=self.days)}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        start, end = self._period()
        oldest, newest = self.keys()
        if start:
            queryset = queryset.filter(created_at__gte=start, pk__gte=oldest)
        if end:
            queryset = queryset.filter(created_at__lt=end, pk__lt=newest)
        return queryset

    def keys(self) -> tuple[UUID | None, UUID | None]:
        """Return the lowest key of the period, and the first key after it. None where the period has no limit."""
        start, end = self._period()
        return (_key_at(start - SLACK) if start else None), (_key_at(end + SLACK) if end else None)

    def _period(self) -> tuple[datetime | None, datetime | None]:
        first, last = (_day(self.days.get(name)) for name in self.parameters)
        return (_midnight(first) if first else None), (_midnight(last + timedelta(days=1)) if last else None)


def _day(text: str | None) -> date | None:
    try:
        day = parse_date(text or "")
    except ValueError:
        return None
    return min(max(day, date(1970, 1, 2)), LAST_DAY) if day else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _key_at(at: datetime) -> UUID:
    """Return the lowest UUIDv7 of that millisecond."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
