"""What beat runs, in the console's look. The library's own actions ask for no permission and no reason; these do."""

import json
from functools import partial
from typing import Any

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


def _switch(enabled: bool, pk: Any, _user: User, _reason: str) -> PeriodicTask:
    task = PeriodicTask.objects.get(pk=pk)
    task.enabled = enabled
    task.save()
    return task


class BrokerUnavailable(Exception):
    detail = "The broker does not answer; try again in a moment."


def _run(pk: Any, _user: User, _reason: str) -> PeriodicTask:
    task = PeriodicTask.objects.get(pk=pk)
    if not notifier.publish(task.task, json.loads(task.args), kwargs=json.loads(task.kwargs)):
        raise BrokerUnavailable
    return task


ACTIONS = (
    RowAction(
        name="run_selected",
        title="Run once now",
        done="asked for",
        permission=MAY_CHANGE,
        icon="play_arrow",
        run=_run,
        refusals=BrokerUnavailable,
        warning="Beside its usual times; every task of ours is safe to run again.",
    ),
    RowAction(
        name="enable_selected",
        title="Enable",
        done="enabled",
        permission=MAY_CHANGE,
        icon="toggle_on",
        run=partial(_switch, True),
        is_available=lambda row: not row.enabled,
    ),
    RowAction(
        name="disable_selected",
        title="Disable",
        done="disabled",
        permission=MAY_CHANGE,
        icon="toggle_off",
        run=partial(_switch, False),
        is_danger=True,
        warning="Without its tasks the system stands still: nothing deferred is sent, nothing lost is found.",
        is_available=lambda row: row.enabled,
    ),
)


class TaskForm(StyledFormMixin, PeriodicTaskForm):
    """The library's words, as ours are written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = str(field.label).capitalize()
        if "enabled" in self.fields:
            self.fields["enabled"].help_text = "Whether beat runs it."


class TaskInline(PeriodicTaskInline, TabularInline):
    pass


def _shown(field: str) -> str:
    return "scheduler_name" if field in SCHEDULERS else field


@admin.register(PeriodicTask)
class ConsolePeriodicTaskAdmin(PeriodicTaskAdmin, ModelAdmin):
    form = TaskForm
    list_display = ["name", "enabled", "scheduler", "last_run_at", "one_off"]
    list_filter = ["enabled", "one_off"]
    date_hierarchy = None
    change_form_template = None
    actions = ()
    row_actions = ACTIONS
    scheduler_name = name_of("scheduler", "Runs")

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> list:
        """Whoever only looks sees when it runs; the pages of intervals and times are for whoever edits them."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": list(dict.fromkeys(map(_shown, options["fields"])))})
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
