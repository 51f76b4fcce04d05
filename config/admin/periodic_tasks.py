"""Periodic tasks. The row actions replace the library's own, which check no permission and ask for no reason."""

import json
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django_celery_beat.admin import (
    ClockedScheduleAdmin,
    CrontabScheduleAdmin,
    PeriodicTaskAdmin,
    PeriodicTaskForm,
    PeriodicTaskInline,
)
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from messaging import notifier
from messaging.console.columns import name_of
from messaging.console.forms import StyledFormMixin
from messaging.console.model_admin import ModelAdmin, TabularInline
from messaging.console.row_actions import RowAction

admin.site.unregister([ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule])

SCHEDULERS = {"interval", "crontab", "solar", "clocked"}
MAY_CHANGE = "django_celery_beat.change_periodictask"


def _set_enabled(enabled: bool, pk: Any, _user: User, _reason: str) -> PeriodicTask:
    task = PeriodicTask.objects.get(pk=pk)
    task.enabled = enabled
    task.save()
    return task


class BrokerUnavailable(Exception):
    detail = "The broker is unavailable. Try again later."


def _run(pk: Any, _user: User, _reason: str) -> PeriodicTask:
    task = PeriodicTask.objects.get(pk=pk)
    if not notifier.publish(task.task, json.loads(task.args), kwargs=json.loads(task.kwargs)):
        raise BrokerUnavailable
    return task


ACTIONS = (
    RowAction(
        name="run_selected",
        title="Run once now",
        done="started",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=_run,
        refusals=BrokerUnavailable,
        warning="The task also keeps its usual times. Every task is safe to run more than once.",
    ),
    RowAction(
        name="enable_selected",
        title="Enable",
        done="enabled",
        permission=MAY_CHANGE,
        icon="toggle_on",
        run=partial(_set_enabled, True),
        is_available=lambda row: not row.enabled,
    ),
    RowAction(
        name="disable_selected",
        title="Disable",
        done="disabled",
        permission=MAY_CHANGE,
        icon="toggle_off",
        run=partial(_set_enabled, False),
        is_danger=True,
        warning="Without the periodic tasks, deferred messages are not sent and lost ones are not recovered.",
        is_available=lambda row: row.enabled,
    ),
)


class TaskForm(StyledFormMixin, PeriodicTaskForm):
    """The library's form, with labels capitalised like ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = str(field.label).capitalize()
        if "enabled" in self.fields:
            self.fields["enabled"].help_text = "Disabled tasks are not run by beat."


class TaskInline(PeriodicTaskInline, TabularInline):
    pass


def _read_only(field: str | list[str] | tuple[str, ...]) -> str | list[str] | tuple[str, ...]:
    return "scheduler_name" if isinstance(field, str) and field in SCHEDULERS else field


@admin.register(PeriodicTask)
class ConsolePeriodicTaskAdmin(PeriodicTaskAdmin, ModelAdmin):
    form = TaskForm
    # Any: mypy infers the exact types of the library's own values, which these replace.
    list_display: Any = ("name", "enabled", "scheduler", "last_run_at", "one_off")
    list_filter = ["enabled", "one_off"]
    date_hierarchy: ClassVar[Any] = None
    change_form_template: ClassVar[Any] = None
    actions: Any = ()
    row_actions = ACTIONS
    scheduler_name = name_of("scheduler", "Runs")

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> list[Any]:
        """Without the change permission, show when the task runs as text instead of links to intervals and times."""
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": list(dict.fromkeys(map(_read_only, options["fields"])))})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: PeriodicTask | None = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), "scheduler_name"]


@admin.register(IntervalSchedule, SolarSchedule)
class ConsoleIntervalAdmin(ModelAdmin):
    inlines = [TaskInline]


@admin.register(CrontabSchedule)
class ConsoleCrontabAdmin(CrontabScheduleAdmin, ModelAdmin):
    inlines = [TaskInline]


@admin.register(ClockedSchedule)
class ConsoleClockedAdmin(ClockedScheduleAdmin, ModelAdmin):
    inlines = [TaskInline]
