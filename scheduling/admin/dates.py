"""Leaves out, puts back and adds coming runs of a schedule whose form is closed, and changes its holidays."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST
from unfold.widgets import INPUT_CLASSES

from messaging.services.errors import DomainError, InvalidField
from scheduling import holiday_calendar, recurrence
from scheduling.admin.pages import coming, regions_of
from scheduling.models import Schedule
from scheduling.services import dates, schedules

COMING = 10  # runs on the page
_DONE = {"leave_out": "left out", "put_back": "put back", "add": "added"}


def may_edit_dates(request: HttpRequest, schedule: Schedule) -> bool:
    """Dates do not show the text, so they need no permission to read texts."""
    user = cast("User", request.user)  # the admin site admits signed-in users only
    return schedule.status not in dates.ENDED and user.has_perm("scheduling.change_schedule")


def dates_of(schedule: Schedule) -> dict[str, Any]:
    """Return what the page of the schedule shows of its coming dates."""
    return {
        "dates": coming(schedule, COMING),
        "zone": schedule.time_zone,
        "countries": holiday_calendar.countries(),
        "regions": regions_of(schedule.holidays),
        "input_class": " ".join(INPUT_CLASSES),
    }


@require_POST
def change_dates(request: HttpRequest, object_id: UUID, model_admin: Any) -> HttpResponse:
    """Take `leave_out` or `put_back` (a time in UTC), `add` (a wall time) or `holidays`, and return to the schedule's page."""
    schedule = Schedule.objects.filter(pk=object_id).first()
    if schedule is None:
        raise Http404
    if not model_admin.has_view_permission(request, schedule) or not may_edit_dates(request, schedule):
        raise PermissionDenied
    try:
        done = _change_holidays(request, schedule) if "holidays" in request.POST else _change_date(request, schedule)
    except DomainError as error:
        messages.error(request, error.detail)
    else:
        model_admin.log_change(request, schedule, done)
        messages.success(request, done)
    return redirect("admin:scheduling_schedule_change", object_id)


def _change_holidays(request: HttpRequest, schedule: Schedule) -> str:
    code = request.POST["holidays"].strip() or None
    changed = schedules.change(
        schedule_id=schedule.pk, owner=schedule.owner, changes={"holidays": code}, now=timezone.now()
    )
    return f"Runs on public holidays of {changed.holidays} are left out." if code else "Public holidays do not matter."


def _change_date(request: HttpRequest, schedule: Schedule) -> str:
    act = next((name for name in _DONE if name in request.POST), "add")
    at = _time_of(schedule, request.POST.get(act, ""), is_wall=act == "add")
    service = dates.leave_out if act == "leave_out" else dates.put_back
    service(schedule_id=schedule.pk, at=at, now=timezone.now())
    return f"The run of {at.astimezone(recurrence.zone(schedule.time_zone)):%a %d %b %Y %H:%M %Z} is {_DONE[act]}."


def _time_of(schedule: Schedule, text: str, *, is_wall: bool) -> datetime:
    try:
        found = parse_datetime(text.strip())
    except ValueError:
        found = None
    if found is None or (found.tzinfo is None) != is_wall:
        raise InvalidField("at", "invalid", "Choose a date and a time.")
    return recurrence.to_utc(found, recurrence.zone(schedule.time_zone)) if is_wall else found
