"""One form for a new schedule and for one that has not run. Recipients are pasted or come as a file."""

from dataclasses import fields
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.widgets import UnfoldAdminTextInputWidget

from messaging.api.serializers import MAX_VALID_FOR
from messaging.console.forms import StyledModelForm
from messaging.models import OutboundQueue
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.submit import DEFAULT_VALID_FOR
from scheduling.admin import recipients as people
from scheduling.models import Schedule
from scheduling.services import recipients, schedules
from scheduling.services.recipients import ImportReport
from scheduling.services.schedules import ScheduleInput

MAX_FILE_BYTES = 50 * 1024 * 1024
NOBODY = "Give at least one recipient."
PLANNED = {field.name for field in fields(ScheduleInput)}
# What a browser's own field for a day and a time can show; a wall time with seconds is shown as text.
PICKER_LENGTH = len("2026-12-01T09:00")


class RecurrenceWidget(UnfoldAdminTextInputWidget):
    """The rule as text, a builder for the common ones, and the next runs as the server computes them."""

    template_name = "admin/scheduling/schedule/recurrence.html"

    class Media:
        js = ["console/recurrence.js"]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["preview_url"] = reverse_lazy("admin:scheduling_schedule_preview")
        return context


class ScheduleForm(StyledModelForm):
    run_at = forms.CharField(
        label="Run at",
        help_text="Wall time in the zone below.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    time_zone = forms.ChoiceField(initial="UTC")
    recurrence = forms.CharField(required=False, label="Repeats", widget=RecurrenceWidget)
    valid_for = forms.IntegerField(
        min_value=1,
        max_value=MAX_VALID_FOR,
        initial=DEFAULT_VALID_FOR,
        help_text="Seconds; a message that could not be sent by then is failed.",
    )
    queue = forms.ModelChoiceField(OutboundQueue.objects.all(), initial=settings.DEFAULT_QUEUE)
    pasted = forms.CharField(
        required=False,
        label="Recipients",
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="CSV with a header: to,name,time. A list of numbers alone needs no header. Bad rows are left out and named.",
    )
    file = forms.FileField(
        required=False, label="or a CSV file", help_text="UTF-8; a column to, the others are variables."
    )

    class Meta:
        model = Schedule
        fields = ["name", "text", "queue", "valid_for"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}

    report: ImportReport | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(available_timezones() | {self.instance.time_zone or "UTC"})
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in zones]
        if self.instance.pk and self.instance.start_wall:
            self.initial["run_at"] = wall = self.instance.start_wall.removesuffix(":00")
            if len(wall) != PICKER_LENGTH:
                self.fields["run_at"].widget.input_type = "text"
            self.initial["recurrence"] = self.instance.recurrence
            self.fields["pasted"].label = "More recipients"

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
        if cleaned.get("pasted", "").strip() and cleaned.get("file"):
            self.add_error("file", "Paste the list or choose a file, not both.")
        elif not self.instance.start_wall and not self.gives_a_list(cleaned) and "file" not in self.errors:
            self.add_error("pasted", NOBODY)
        return cleaned

    @staticmethod
    def gives_a_list(cleaned: dict[str, Any]) -> bool:
        return bool(cleaned.get("pasted", "").strip() or cleaned.get("file"))


class NobodyAdded(Exception):
    """Of a list not one row is good: nothing is stored, so that the whole can be given again."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def submit(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> None:
    """Through the services that the API calls. What they refuse comes back as errors of the form; `form.report` tells of the
    list, if one was given.
    """
    list_field = "file" if cleaned.get("file") else "pasted"
    try:
        with transaction.atomic():
            schedule = _store(form, cleaned, request, obj)
            form.report = _add_people(schedule, cleaned) if form.gives_a_list(cleaned) else None
        form.instance = schedule
    except NobodyAdded as refusal:
        form.add_error(list_field, people.named(refusal.report) or NOBODY)
    except InvalidField as error:
        field = {"message": "text", "file": list_field}.get(error.field, error.field)
        form.add_error(field if field in form.fields else None, error.detail)
    except DomainError as error:
        form.add_error(None, error.detail)


def _store(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> Schedule:
    plan = ScheduleInput(
        name=cleaned["name"],
        text=cleaned["text"],
        run_at=cleaned["run_at"],
        time_zone=cleaned["time_zone"],
        recurrence=cleaned["recurrence"] or None,
        queue=cleaned["queue"].pk,
        sender=None,
        valid_for=cleaned["valid_for"],
    )
    if obj is None:
        return schedules.create(
            owner=request.user, plan=plan, people=[], default_queue=settings.DEFAULT_QUEUE, now=timezone.now()
        )
    # Only what was edited: a time that is left as it is must not be read anew, it may have passed meanwhile.
    changes = {name: getattr(plan, name) for name in form.changed_data if name in PLANNED}
    return schedules.change(schedule_id=obj.pk, owner=obj.owner, changes=changes, now=timezone.now())


def _add_people(schedule: Schedule, cleaned: dict[str, Any]) -> ImportReport:
    """Raises `NobodyAdded`; the good rows are kept whatever the others are."""
    stream, own_rows = (cleaned["file"].file, 0) if cleaned.get("file") else people.as_csv(cleaned["pasted"])
    report = recipients.add_csv(schedule_id=schedule.pk, stream=stream, now=timezone.now())
    report.errors = [error._replace(row=error.row - own_rows) for error in report.errors]
    if not report.added + report.duplicates:
        raise NobodyAdded(report)
    return report
