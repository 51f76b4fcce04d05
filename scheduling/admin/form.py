"""One form for a new schedule and for one that has not run. Recipients are pasted or come as a file."""

import io
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.widgets import UnfoldAdminTextInputWidget

from console.forms import StyledModelForm
from messaging.api.serializers import MAX_VALID_FOR
from messaging.models import OutboundQueue
from messaging.services.errors import DomainError, InvalidField
from messaging.services.submit import DEFAULT_VALID_FOR
from scheduling.models import Schedule
from scheduling.recipients_csv import InvalidCsv, RowError, read_rows
from scheduling.services import schedules
from scheduling.services.recipients import Recipient
from scheduling.services.schedules import Plan

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_LISTED_ERRORS = 20
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
        help_text="CSV with a header: to,name,time. A list of numbers alone needs no header.",
    )
    file = forms.FileField(
        required=False, label="or a CSV file", help_text="UTF-8; a column to, the others are variables."
    )

    class Meta:
        model = Schedule
        fields = ["name", "text", "queue", "valid_for"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(available_timezones() | {self.instance.time_zone or "UTC"})
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in zones]
        if self.instance.pk and self.instance.start_wall:
            self.initial["run_at"] = wall = self.instance.start_wall.removesuffix(":00")
            if len(wall) != PICKER_LENGTH:
                self.fields["run_at"].widget.input_type = "text"
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


def submit(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> None:
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
