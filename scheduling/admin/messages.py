"""The message list with a filter by schedule, which `messaging` cannot import."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.forms import AutocompleteDropdownForm

from messaging.admin import MessageAdmin
from messaging.models import Message
from scheduling.models import ScheduleRun

PARAMETER = "schedule"

admin.site.unregister(Message)


class ScheduleListFilter(admin.ListFilter):
    """Filters by schedule, with autocompletion by the start of the name: there may be too many schedules to list."""

    title = "schedule"
    template = "unfold/filters/filters_field.html"
    parameters = (PARAMETER,)
    form_class = AutocompleteDropdownForm

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.request, self.model_admin = request, model_admin
        self.used_parameters = {PARAMETER: params.pop(PARAMETER)[-1]} if PARAMETER in params else {}

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameters)

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        form = self.form_class(
            request=self.request,
            name=PARAMETER,
            label="By schedule",
            choices=(),
            field=ScheduleRun._meta.get_field("schedule"),  # noqa: SLF001 (public despite its name)
            model_admin=self.model_admin,
            data={PARAMETER: self._chosen()} if self._chosen() else {},
        )
        yield {"form": form}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        if not self.used_parameters.get(PARAMETER):
            return queryset
        chosen = self._chosen()
        return queryset.filter(schedule_id=chosen) if chosen else queryset.none()

    def _chosen(self) -> UUID | None:
        try:
            return UUID(str(self.used_parameters.get(PARAMETER, "")))
        except ValueError:
            return None


@admin.register(Message)
class MessageWithScheduleAdmin(MessageAdmin):
    list_filter = [*MessageAdmin.list_filter, ScheduleListFilter]
