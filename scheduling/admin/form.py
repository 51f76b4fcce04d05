"""The form for a schedule that has not run yet. Recipients are pasted or uploaded."""

from dataclasses import fields
from datetime import datetime
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.widgets import UnfoldAdminTextInputWidget

from messaging.admin.compose import CATEGORY_NAMES
from messaging.api.serializers import MAX_VALID_FOR
from messaging.categories import Category
from messaging.console.forms import StyledModelForm
from messaging.models import OutboundQueue
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.submit import DEFAULT_VALID_FOR
from scheduling import holiday_calendar
from scheduling.admin import list_upload
from scheduling.admin.list_upload import MAX_FILE_BYTES
from scheduling.models import Schedule
from scheduling.services import recipients, schedules, timing
from scheduling.services.schedules import ScheduleInput

NO_RECIPIENTS = "Give at least one recipient."
SCHEDULE_FIELDS = {field.name for field in fields(ScheduleInput)}
# A browser's date and time field shows this much; a wall time with seconds is shown as text.
PICKER_LENGTH = len("2026-12-01T09:00")


class RecurrenceWidget(UnfoldAdminTextInputWidget):
    """The rule and its dates as text, a builder for common rules, and the next runs as computed by the server.

    A run can be left out, put back or added; the server writes the EXDATE and RDATE lines.
    """

    template_name = "admin/scheduling/schedule/recurrence.html"

    class Media:
        js = ["console/recurrence.js"]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["preview_url"] = reverse_lazy("admin:scheduling_schedule_preview")
        return context


class HolidaysWidget(UnfoldAdminTextInputWidget):
    """The code of a holiday calendar; countries are found by their names, regions once the country is chosen."""

    template_name = "admin/scheduling/schedule/holidays.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["countries"] = holiday_calendar.countries()
        return context


class ScheduleForm(StyledModelForm):
    run_at = forms.CharField(
        label="Run at",
        help_text="Wall time in the zone below.",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )
    time_zone = forms.ChoiceField(initial="UTC")
    recurrence = forms.CharField(required=False, label="Repeats", widget=RecurrenceWidget)
    holidays = forms.CharField(
        required=False,
        max_length=holiday_calendar.MAX_CODE,
        label="Not on public holidays of",
        widget=HolidaysWidget,
        help_text="A country such as DE, or a region such as DE-BY; days on which a holiday is observed count as well.",
    )
    valid_for = forms.IntegerField(
        min_value=1,
        max_value=MAX_VALID_FOR,
        initial=DEFAULT_VALID_FOR,
        help_text="Seconds; a message that was not sent by then fails.",
    )
    missed = forms.ChoiceField(
        choices=Schedule.Missed.choices,
        initial=Schedule.Missed.LATEST,
        label="Missed runs",
        help_text="Which runs are made up for after an outage or a pause of at most an hour (SCHEDULE_MAX_LATENESS).",
    )
    category = forms.ChoiceField(
        required=False,
        choices=[(each.value, name) for each, name in CATEGORY_NAMES.items()],
        initial=Category.TRANSACTIONAL,
        help_text="What the text is for. An emergency needs a permission of its own.",
    )
    queue = forms.ModelChoiceField(OutboundQueue.objects.all(), initial=settings.DEFAULT_QUEUE)
    pasted = forms.CharField(
        required=False,
        label="Recipients",
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="CSV with a header: to,name,time. A list of numbers needs no header. You see a list with invalid rows first.",
    )
    file = forms.FileField(
        required=False,
        label="or a CSV file",
        help_text="The column to, phone or mobile has the numbers, the others are variables: First Name is {First_Name}.",
    )
    to_column = forms.CharField(
        required=False,
        max_length=200,
        label="Column with the numbers",
        help_text="Only if it is called otherwise.",
    )
    country = forms.CharField(
        required=False,
        max_length=2,
        label="Country of numbers without +",
        help_text="Two letters, such as DE. Without it, numbers need + and their country code.",
    )
    check_first = forms.BooleanField(
        required=False,
        label="Check first",
        help_text="Look at the list before it is saved, also if nothing is wrong with it.",
    )

    class Meta:
        model = Schedule
        fields = ["name", "text", "category", "missed", "queue", "valid_for"]
        widgets = {"text": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(available_timezones() | {self.instance.time_zone or "UTC"})
        time_zone = cast("forms.ChoiceField", self.fields["time_zone"])  # declared above
        time_zone.choices = [(name, name.replace("_", " ")) for name in zones]
        if self.instance.pk and self.instance.start_wall:
            self.initial["run_at"] = wall = self.instance.start_wall.removesuffix(":00")
            if len(wall) != PICKER_LENGTH:
                self.fields["run_at"].widget.input_type = "text"
            # A browser sends the lines of a text area with CRLF.
            self.initial["recurrence"] = timing.wall_recurrence_text(self.instance).replace("\n", "\r\n")
            self.initial["holidays"] = self.instance.holidays
            self.fields["pasted"].label = "More recipients"

    def clean_file(self) -> Any:
        upload = self.cleaned_data.get("file")
        if upload is not None and upload.size > MAX_FILE_BYTES:
            raise forms.ValidationError(f"The file is larger than {MAX_FILE_BYTES // 1024 // 1024} MB.")
        return upload

    def clean_country(self) -> str:
        country: str = self.cleaned_data["country"].upper()
        try:
            recipients.check_country(country)
        except InvalidField as error:
            raise forms.ValidationError(error.detail) from None
        return country

    def clean_run_at(self) -> datetime:
        try:
            value = parse_datetime(self.cleaned_data["run_at"].strip())
        except ValueError:
            value = None
        if value is None or ":" not in self.cleaned_data["run_at"]:  # a date alone would be midnight
            raise forms.ValidationError("Write the time as 2026-12-01 09:00.")
        return value

    def clean(self) -> dict[str, Any]:
        super().clean()
        cleaned = self.cleaned_data
        if cleaned.get("pasted", "").strip() and cleaned.get("file"):
            self.add_error("file", "Paste the list or choose a file, not both.")
        elif not self.instance.start_wall and not self.has_recipients(cleaned) and "file" not in self.errors:
            self.add_error("pasted", NO_RECIPIENTS)
        return cleaned

    @staticmethod
    def has_recipients(cleaned: dict[str, Any]) -> bool:
        return bool(cleaned.get("pasted", "").strip() or cleaned.get("file"))


def submit(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> None:
    """Create or change the schedule with the API's services, and record the list if one was given.

    Domain errors become errors of the form.
    """
    list_field = "file" if cleaned.get("file") else "pasted"
    try:
        with transaction.atomic():
            schedule = _store(form, cleaned, request, obj)
            list_upload.record(request, schedule, is_new=obj is None)
        form.instance = schedule
    except InvalidField as error:
        field = {"message": "text", "file": list_field}.get(error.field, error.field)
        form.add_error(field if field in form.fields else None, error.detail)
    except DomainError as error:
        form.add_error(None, error.detail)


def _store(form: ScheduleForm, cleaned: dict[str, Any], request: HttpRequest, obj: Schedule | None) -> Schedule:
    draft = ScheduleInput(
        name=cleaned["name"],
        text=cleaned["text"],
        run_at=cleaned["run_at"],
        time_zone=cleaned["time_zone"],
        recurrence=cleaned["recurrence"] or None,
        queue=cleaned["queue"].pk,
        sender=None,
        valid_for=cleaned["valid_for"],
        missed=cleaned["missed"],
        holidays=cleaned["holidays"] or None,
        category=cleaned.get("category") or Category.TRANSACTIONAL,
    )
    user = cast("User", request.user)  # the admin site admits signed-in users only
    if obj is None:
        return schedules.create(
            owner=user, draft=draft, recipients=[], default_queue=settings.DEFAULT_QUEUE, now=timezone.now()
        )
    # Edited fields only: an unchanged start may be in the past by now and would be refused.
    changes = {name: getattr(draft, name) for name in form.changed_data if name in SCHEDULE_FIELDS}
    return schedules.change(schedule_id=obj.pk, owner=obj.owner, changes=changes, now=timezone.now(), actor=user)
