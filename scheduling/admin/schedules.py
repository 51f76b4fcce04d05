"""Schedules in the console, with the services that the API calls."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.timesince import timesince
from unfold.contrib.filters.admin import ChoicesCheckboxFilter, RelatedCheckboxFilter
from unfold.decorators import display

from messaging.admin import text_privacy
from messaging.console.columns import name_of
from messaging.console.model_admin import ModelAdmin, ReadOnlyMixin, TabularInline
from messaging.models.encrypted import fault_of
from scheduling.admin import list_upload
from scheduling.admin.dates import change_dates, dates_of, may_edit_dates
from scheduling.admin.form import ScheduleForm, submit
from scheduling.admin.list_check import imports_of, list_page
from scheduling.admin.pages import next_runs, preview, progress, progress_of
from scheduling.admin.recipient_list import bad_rows, first_recipients
from scheduling.admin.row_actions import ACTIONS
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import schedules, texts
from scheduling.services.errors import AlreadyRan

LIST_FIELDS = ("pasted", "file", "country", "to_column", "check_first")
TONES = {"active": "success", "paused": "warning", "completed": "info", "canceled": "danger"}


RUN_FIELDS = (
    "due_at",
    "status",
    "created_messages",
    "skipped_inactive",
    "skipped_opted_out",
    "skipped_invalid",
    "skipped_over_budget",
    "detail",
    "finished_at",
)


class RunInline(ReadOnlyMixin, TabularInline):
    model = ScheduleRun
    fields = RUN_FIELDS
    readonly_fields = RUN_FIELDS
    verbose_name_plural = "runs"
    per_page = 20


@admin.register(Schedule)
class ScheduleAdmin(ModelAdmin):
    form = ScheduleForm
    change_form_template = "admin/scheduling/schedule/form.html"
    list_display = ["name", "state", "next_run", "time_zone", "queue", "recipient_total", "owner"]
    list_filter = [("status", ChoicesCheckboxFilter), ("queue", RelatedCheckboxFilter)]
    list_select_related = ["queue", "owner"]
    search_fields = ["name__istartswith"]
    search_help_text = "The start of a name"
    ordering = ["-pk"]
    sortable_by = ()
    readonly_fields = [
        "hidden_text",
        "of_template",
        "on_the_list",
        "numbers_on_the_list",
        "first_run",
        "repeats",
        "validity",
        "next_runs",
        "moved",
        "owner_name",
    ]
    inlines = [RunInline]
    owner_name = name_of("owner", "Owner")
    row_actions = ACTIONS
    custom_urls = (
        ("preview/", "scheduling_schedule_preview", preview),
        ("<uuid:object_id>/progress/", "scheduling_schedule_progress", progress),
        ("<uuid:object_id>/dates/", "scheduling_schedule_dates", change_dates),
        ("<uuid:object_id>/lists/<uuid:list_id>/", "scheduling_schedule_list", list_page),
        ("<uuid:object_id>/lists/<uuid:list_id>/bad-rows/", "scheduling_schedule_bad_rows", bad_rows),
    )

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Schedule | None:
        """Show a schedule whose text cannot be opened without its text, and with a warning. The page stores nothing then."""
        found = super().get_object(request, object_id, from_field)
        if found is not None and (fault := fault_of(found, "text")):
            messages.warning(request, f"The text of this schedule cannot be opened: {fault}.")
            found.text = ""
        elif found is not None:
            texts.refresh(found)
        return found

    def get_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[str, ...]:
        form = (
            "name",
            "text",
            "category",
            "run_at",
            "time_zone",
            "recurrence",
            "holidays",
            "missed",
            "queue",
            "valid_for",
        )
        if obj is None:
            return (*form, *LIST_FIELDS)
        if obj.template_id is not None:
            form = ("name", "text", "of_template", *form[3:])
        listed = "on_the_list" if _may_read(request) else "numbers_on_the_list"
        moved = ("moved",) if obj.moved_from else ()
        if self.has_change_permission(request, obj):
            return (*form, *moved, listed, *LIST_FIELDS)  # the recurrence widget shows the next runs
        text = "text" if _may_read(request) else "hidden_text"
        timing = (
            "first_run",
            "time_zone",
            "repeats",
            "holidays",
            *(() if may_edit_dates(request, obj) else ("next_runs",)),
            *moved,
        )
        of_template = ("of_template",) if obj.template_id is not None else ()
        return ("name", text, *of_template, "category", *timing, "queue", "validity", "owner_name", listed)

    def get_inlines(self, request: HttpRequest, obj: Schedule | None) -> tuple[type[RunInline], ...]:
        return (RunInline,) if obj and obj.runs.exists() else ()

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        """The form shows the text, so it needs the permission to read texts. Row actions do not show it."""
        allowed = super().has_change_permission(request, obj) and _may_read(request)
        return allowed and (obj is None or (obj.status in {"active", "paused"} and not schedules.has_run(obj)))

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return super().has_delete_permission(request, obj) and obj is not None and not obj.has_begun

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Read a list before the transaction of the form, and save it after that: see `list_upload`."""
        if request.method != "POST" or not self._may_send_list(request, object_id):
            list_upload.SENT.set(request, None)
            return super().changeform_view(request, object_id, form_url, extra_context)
        try:
            list_upload.read(request, UUID(object_id) if object_id else None)
            response = super().changeform_view(request, object_id, form_url, extra_context)
            return list_upload.finish(request, response)
        finally:
            list_upload.close(request)

    def _may_send_list(self, request: HttpRequest, object_id: str | None) -> bool:
        if object_id is None:
            return self.has_add_permission(request)
        try:
            schedule = Schedule.objects.filter(pk=UUID(object_id)).first()
        except ValueError:
            return False
        return schedule is not None and self.has_change_permission(request, schedule)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> Any:
        more = {**progress_of(obj), **imports_of(obj)} if isinstance(obj, Schedule) else {}
        if isinstance(obj, Schedule) and not self.has_change_permission(request, obj) and may_edit_dates(request, obj):
            more |= dates_of(obj)
        return super().render_change_form(request, {**context, **more}, *args, obj=obj, **kwargs)

    @display(description="Status", label=TONES)
    def state(self, obj: Schedule) -> str:
        return obj.status

    @display(description="Next run")
    def next_run(self, obj: Schedule) -> datetime | None:
        return obj.next_run_at

    @display(description="Text")
    def hidden_text(self, obj: Schedule) -> str:
        return text_privacy.shown(obj.text, readable=False)

    @display(description="Template")
    def of_template(self, obj: Schedule) -> str:
        language = f", in {obj.language}" if obj.language else ""
        return f"{obj.template}{language}. Each run has the text and category of its newest version; another text replaces it."

    @display(description="First run")
    def first_run(self, obj: Schedule) -> str:
        return f"{datetime.fromisoformat(obj.start_wall):%d %b %Y %H:%M} {obj.time_zone}"

    @display(description="Repeats")
    def repeats(self, obj: Schedule) -> str:
        return obj.recurrence or ("on added dates" if obj.added_dates else "no, one run")

    @display(description="Valid for")
    def validity(self, obj: Schedule) -> str:
        return timesince(obj.created_at, obj.created_at + timedelta(seconds=obj.valid_for))

    @display(description="Recipients")
    def recipient_total(self, obj: Schedule) -> str:
        return f"{obj.recipient_count:,}"

    @display(description="On the list")
    def on_the_list(self, obj: Schedule) -> str:
        return first_recipients(obj, readable=True)

    @display(description="On the list")
    def numbers_on_the_list(self, obj: Schedule) -> str:
        return first_recipients(obj, readable=False)

    @display(description="Next runs")
    def next_runs(self, obj: Schedule) -> str:
        return format_html_join("", "{}<br>", ((line,) for line in next_runs(obj))) or "none"

    @display(description="Moved by newer zone data")
    def moved(self, obj: Schedule) -> str:
        new = f"{obj.next_run_at:%d %b %Y %H:%M} UTC" if obj.next_run_at else "no run"
        return f"from {obj.moved_from:%d %b %Y %H:%M} to {new} (tzdata {obj.zone_release})"

    def save_form(self, request: HttpRequest, form: ScheduleForm, change: bool) -> Schedule:
        """The service has stored the schedule already (`submit`)."""
        schedule: Schedule = form.instance
        return schedule

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> type:
        # `form` of this class is the base of what Django makes.
        form_class = cast("type[ScheduleForm]", super().get_form(request, obj, change, **kwargs))
        schedule = obj if isinstance(obj, Schedule) else None

        class Submitting(form_class):  # type: ignore[valid-type, misc]  # a class made at run time
            def clean(self) -> dict[str, Any]:
                cleaned: dict[str, Any] = super().clean()
                if not self.errors:
                    submit(self, cleaned, request, schedule)
                return cleaned

            def _post_clean(self) -> None:
                """Do nothing: the service has stored the row, and the model form would overwrite its fields."""

        return Submitting

    def save_model(self, request: HttpRequest, obj: Schedule, form: ScheduleForm, change: bool) -> None:
        """Do nothing: the service has stored the schedule."""

    def delete_model(self, request: HttpRequest, obj: Schedule) -> None:
        try:
            schedules.delete(schedule_id=obj.pk)
        except AlreadyRan as error:  # the first run started while the confirmation page was open
            raise PermissionDenied(error.detail) from None

    def save_related(self, request: HttpRequest, form: ScheduleForm, formsets: list[Any], change: bool) -> None:
        """Do nothing: the service has stored the recipients, and runs are read-only."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Iterable[Any], add: bool = False
    ) -> list[dict[str, dict[str, list[str]]]]:
        """Describe the form only: the inline runs are read-only and no formset was saved."""
        return super().construct_change_message(request, form, [], add)


def _may_read(request: HttpRequest) -> bool:
    return text_privacy.may_read(cast("User", request.user))  # the admin site admits signed-in users only
