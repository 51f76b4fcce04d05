"""Schedules in the admin: the same services as the API."""

import io
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join

from messaging.admin.read_only import BoundedPaginator, ReadOnlyMixin
from messaging.api.serializers import DEFAULT_VALID_FOR, MAX_VALID_FOR
from messaging.models import OutboundQueue
from messaging.services.errors import DomainError, InvalidField
from messaging.states import Source
from scheduling.models import Schedule, ScheduleRun
from scheduling.recipients_csv import InvalidCsv, RowError, read_rows
from scheduling.services import reading, schedules, timing
from scheduling.services.errors import AlreadyRan
from scheduling.services.recipients import Recipient
from scheduling.services.schedules import Plan

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_LISTED_ERRORS = 20
FORM_FIELDS = {
    "run_at": "run_at",
    "time_zone": "time_zone",
    "recurrence": "recurrence",
    "queue": "queue",
    "message": "text",
}


class ScheduleForm(forms.ModelForm):
    """One form for a new schedule and for one that has not run. Recipients are pasted or come as a file."""

    run_at = forms.CharField(
        label="Run at", help_text="2026-12-01 09:00 is wall time in the zone below; with an offset it is a moment."
    )
    recurrence = forms.CharField(
        required=False, help_text="RFC 5545, such as RRULE:FREQ=WEEKLY;BYDAY=MO. Empty: one run."
    )
    valid_for = forms.IntegerField(
        min_value=1, max_value=MAX_VALID_FOR, initial=DEFAULT_VALID_FOR, help_text="Seconds."
    )
    queue = forms.ModelChoiceField(OutboundQueue.objects.all(), initial=settings.DEFAULT_QUEUE)
    pasted = forms.CharField(
        required=False,
        label="Recipients",
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="CSV with a header: to,name,time. A list of numbers alone needs no header.",
    )
    file = forms.FileField(
        required=False, label="or a CSV file", help_text="UTF-8; a column to, the others are variables."
    )

    class Meta:
        model = Schedule
        fields = ["name", "text", "time_zone", "queue", "valid_for"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.start_wall:
            self.initial["run_at"] = self.instance.start_wall.replace("T", " ")
            self.initial["recurrence"] = self.instance.recurrence
            for name in ("pasted", "file"):
                self.fields.pop(name)

    def clean_file(self) -> Any:
        upload = self.cleaned_data.get("file")
        if upload is not None and upload.size > MAX_FILE_BYTES:
            raise forms.ValidationError(f"The file is larger than {MAX_FILE_BYTES // 1024 // 1024} MB.")
        return upload

    def clean_run_at(self) -> Any:
        try:
            value = parse_datetime(self.cleaned_data["run_at"].strip())
        except ValueError:
            value = None
        if value is None:
            raise forms.ValidationError("Write the time as 2026-12-01 09:00.")
        return value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "pasted" in self.fields:
            cleaned["people"] = self._people(cleaned)
        return cleaned

    def _people(self, cleaned: dict[str, Any]) -> list[Recipient]:
        stream = (
            cleaned["file"].file if cleaned.get("file") else io.BytesIO(with_header(cleaned.get("pasted", "")).encode())
        )
        try:
            rows = list(read_rows(stream))
        except InvalidCsv as error:
            self.add_error("pasted", str(error))
            return []
        bad = [row for row in rows if isinstance(row, RowError)]
        for row in bad[:MAX_LISTED_ERRORS]:
            self.add_error("pasted", f"Row {row.row}, {row.field}: {row.detail}")
        if not rows:
            self.add_error("pasted", "Give at least one recipient.")
        return [Recipient(row.row, row.number, row.variables) for row in rows if not isinstance(row, RowError)]


def with_header(pasted: str) -> str:
    """Numbers one a line are a list without variables."""
    first = pasted.lstrip()[:1]
    return f"to\n{pasted.lstrip()}" if first == "+" else pasted.lstrip()


class RunInline(ReadOnlyMixin, admin.TabularInline):
    model = ScheduleRun
    fields = ["due_at", "status", "created_messages", "skipped_inactive", "skipped_invalid", "detail", "finished_at"]
    readonly_fields = fields
    extra = 0
    max_num = 20


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin):
    form = ScheduleForm
    list_display = ["name", "status", "next_run_at", "time_zone", "queue", "recipient_count", "owner"]
    list_filter = ["status", "queue"]
    list_select_related = ["queue", "owner"]
    search_fields = ["name__istartswith"]
    show_full_result_count = False
    paginator = BoundedPaginator
    ordering = ["-pk"]
    readonly_fields = ["status", "next_runs", "progress"]
    inlines = [RunInline]
    actions = ["pause_selected", "resume_selected", "cancel_selected"]

    def get_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        form = ["name", "text", "run_at", "time_zone", "recurrence", "queue", "valid_for"]
        return [*form, "status", "next_runs", "progress"] if obj else [*form, "pasted", "file"]

    def get_inlines(self, request: HttpRequest, obj: Schedule | None) -> list:
        return self.inlines if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or (obj.occurrences == 0 and obj.status in {"active", "paused"}))

    def has_delete_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        return super().has_delete_permission(request, obj) and obj is not None and obj.occurrences == 0

    @admin.display(description="Next runs")
    def next_runs(self, obj: Schedule) -> str:
        zone = obj.time_zone
        lines = ((f"{wall:%a %d %b %Y %H:%M}", zone) for wall, _ in timing.preview(obj, count=5))
        return format_html_join("\n", "{} {}<br>", lines) or "none"

    @admin.display(description="Messages")
    def progress(self, obj: Schedule) -> str:
        counts = reading.counts_by_status([obj.pk])[obj.pk]
        return format_html_join(", ", "{} {}", ((count, status) for status, count in sorted(counts.items()))) or "none"

    def save_form(self, request: HttpRequest, form: ScheduleForm, change: bool) -> Schedule:
        """Through the service, like the API; what it refuses comes back as an error of the form."""
        return form.instance

    def get_form(self, request: HttpRequest, obj: Schedule | None = None, change: bool = False, **kwargs: Any) -> type:
        form_class = super().get_form(request, obj, change, **kwargs)

        class Submitting(form_class):
            def clean(self) -> dict[str, Any]:
                cleaned = super().clean()
                if not self.errors:
                    _submit(self, cleaned, request, obj)
                return cleaned

            def _post_clean(self) -> None:
                """The service has stored the row: the model form must not write its own fields over it."""

        return Submitting

    def save_model(self, request: HttpRequest, obj: Schedule, form: ScheduleForm, change: bool) -> None:
        """Stored by the service already."""

    def delete_model(self, request: HttpRequest, obj: Schedule) -> None:
        try:
            schedules.delete(schedule_id=obj.pk)
        except AlreadyRan as error:  # while the person was asked whether they are sure
            raise PermissionDenied(error.detail) from None

    def save_related(self, request: HttpRequest, form: ScheduleForm, formsets: list, change: bool) -> None:
        """The recipients were stored by the service too, and the runs are only looked at."""

    def construct_change_message(
        self, request: HttpRequest, form: ScheduleForm, formsets: list, add: bool = False
    ) -> list:
        """Of the form only: the runs beside it are not a formset that anybody has saved."""
        return super().construct_change_message(request, form, [], add)

    @admin.action(description="Pause", permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, lambda pk: schedules.pause(schedule_id=pk, now=timezone.now()) and "paused")

    @admin.action(description="Resume", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._each(request, queryset, lambda pk: schedules.resume(schedule_id=pk, now=timezone.now()) and "resumed")

    @admin.action(description="Cancel, with the messages that are unsent", permissions=["change"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        def act(pk: Any) -> str:
            _, canceled = schedules.cancel(schedule_id=pk, actor=request.user, now=timezone.now(), source=Source.ADMIN)
            return f"canceled, {canceled} messages taken back"

        self._each(request, queryset, act)

    def _each(self, request: HttpRequest, queryset: QuerySet[Schedule], act: Callable[[Any], str]) -> None:
        for pk, name in queryset.values_list("pk", "name"):
            try:
                self.message_user(request, format_html("{}: {}", name, act(pk)), messages.SUCCESS)
            except DomainError as error:
                self.message_user(request, format_html("{}: {}", name, error.detail), messages.WARNING)


def _submit(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> None:
    plan = Plan(
        name=cleaned["name"],
        text=cleaned["text"],
        run_at=cleaned["run_at"],
        time_zone=cleaned["time_zone"],
        recurrence=cleaned["recurrence"] or None,
        queue=cleaned["queue"].pk,
        sender=None,
        valid_for=cleaned["valid_for"],
    )
    try:
        if obj is None:
            form.instance = schedules.create(
                owner=request.user,
                plan=plan,
                people=cleaned["people"],
                default_queue=settings.DEFAULT_QUEUE,
                now=timezone.now(),
            )
        else:
            # Only what was edited: a time that is left as it is must not be read anew, it may have passed meanwhile.
            changes = {name: getattr(plan, name) for name in form.changed_data}
            form.instance = schedules.change(schedule_id=obj.pk, owner=obj.owner, changes=changes, now=timezone.now())
    except InvalidField as error:
        field = {"message": "text"}.get(error.field, error.field)
        _, _, row = field.partition("recipients.")
        detail = f"Row {row.partition('.')[0]}: {error.detail}" if row else error.detail
        form.add_error("pasted" if row else field if field in form.fields else None, detail)
    except DomainError as error:
        form.add_error(None, error.detail)
