"""JSON for the schedule pages: the next runs of a rule while it is edited, and the progress of the newest run."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from messaging import states
from messaging.services.errors import InvalidField
from scheduling import holiday_calendar, recurrence
from scheduling.models import Schedule, ScheduleRun
from scheduling.recurrence import Dates
from scheduling.services import dates, queries, timing
from scheduling.services.outlook import look_ahead

SHOWN = 5
ORDER = [status.value for status in states.Status]
_NOTHING: dict[str, Any] = {"runs": [], "left_out": [], "notes": [], "regions": []}


@require_POST
def preview(request: HttpRequest, model_admin: Any) -> JsonResponse:
    """Return the next runs of the form's current values, in its zone, or what is wrong with them.

    With `leave_out` or `put_back` (a time in UTC) or `add` (a wall time), `recurrence` in the answer has that date as well.
    """
    if not model_admin.has_view_or_change_permission(request):
        raise PermissionDenied
    run_at = _time_of(request, "run_at")
    if run_at is None:
        return JsonResponse({**_NOTHING, "error": "Choose the time of the first run."})
    code = request.POST.get("holidays", "").strip()
    try:
        schedule, text = _previewed(request, run_at, code)
    except InvalidField as error:
        return JsonResponse({**_NOTHING, "error": error.detail, "regions": regions_of(code)})
    return JsonResponse({"error": "", **coming(schedule, SHOWN), "regions": regions_of(code), **text})


def _previewed(request: HttpRequest, run_at: datetime, code: str) -> tuple[Schedule, dict[str, str]]:
    """Return the schedule that the form would make, and its recurrence if a date was edited. Raises `InvalidField`."""
    when = timing.check(
        run_at=run_at,
        time_zone=request.POST.get("time_zone", ""),
        rule=request.POST.get("recurrence", "").strip() or None,
        now=timezone.now(),
        holidays=code or None,
    )
    schedule = timing.as_schedule(when)
    edited = _edited(request, schedule)
    if edited is None:
        return schedule, {}
    timing.set_dates(schedule, edited)
    timing.recompute(schedule, last_run=None)
    if schedule.next_run_at is None:
        raise InvalidField("recurrence", "never_fires", "No run would be left.")
    return schedule, {"recurrence": timing.wall_recurrence_text(schedule)}


def _time_of(request: HttpRequest, name: str) -> datetime | None:
    try:
        return parse_datetime(request.POST.get(name, "").strip())
    except ValueError:
        return None


def _edited(request: HttpRequest, schedule: Schedule) -> Dates | None:
    if (left_out := _time_of(request, "leave_out")) and left_out.tzinfo:
        return dates.without(schedule, left_out)
    if (put_back := _time_of(request, "put_back")) and put_back.tzinfo:
        return dates.with_run(schedule, put_back)
    if "add" not in request.POST:
        return None
    added = _time_of(request, "add")
    if added is None or added.tzinfo:
        raise InvalidField("recurrence", "invalid", "Choose the date and time to add.")
    zone = recurrence.zone(schedule.time_zone)
    return dates.with_run(schedule, recurrence.to_utc(added, zone))


def coming(schedule: Schedule, count: int) -> dict[str, Any]:
    """Return the next runs and what is left out among them, as a page shows them: the actual times."""
    outlook = look_ahead(schedule, count=count, now=timezone.now())
    zone = recurrence.zone(schedule.time_zone)
    return {
        "runs": [
            {"at": run.utc.isoformat(), "text": _shown(run.utc, zone), "is_added": run.is_added} for run in outlook.runs
        ],
        "left_out": [
            {"at": each.utc.isoformat(), "text": _shown(each.utc, zone), "name": each.name} for each in outlook.left_out
        ],
        "notes": [note.detail for note in outlook.notes],
    }


def next_runs(schedule: Schedule) -> list[str]:
    return [run["text"] for run in coming(schedule, SHOWN)["runs"]]


def _shown(utc: datetime, zone: ZoneInfo) -> str:
    """Format the actual time: a wall time may be skipped or occur twice on a day."""
    return f"{utc.astimezone(zone):%a %d %b %Y %H:%M %Z}"


def regions_of(code: str) -> list[list[str]]:
    """Return the codes and names of the regions of the country that a code names or begins with."""
    country = code.upper()[:2]
    if country not in holiday_calendar.countries():
        return []
    return [[f"{country}-{region}", name] for region, name in holiday_calendar.regions(country).items()]


@never_cache
@require_safe
def progress(request: HttpRequest, object_id: UUID, model_admin: Any) -> JsonResponse:
    schedule = Schedule.objects.filter(pk=object_id).first()
    if schedule is None:
        raise Http404
    if not model_admin.has_view_permission(request, schedule):
        raise PermissionDenied
    context = progress_of(schedule)
    html = render_to_string("admin/scheduling/schedule/progress.html", context)
    return JsonResponse({"html": html, "moves": context["moves"]})


def progress_of(schedule: Schedule) -> dict[str, Any]:
    """Return the progress of the newest run, and the schedule's messages by status."""
    run = schedule.runs.order_by("-due_at").first()
    counts = queries.counts_by_status([schedule.pk])[schedule.pk]
    total = sum(counts.values())
    waiting = sum(counts.get(status, 0) for status in states.UNSENT)
    return {
        "schedule": schedule,
        "run": run,
        "expanded": _expanded(run),
        "total": total,
        "handed_over": total - waiting,
        "counts": [(status, counts[status]) for status in ORDER if status in counts],
        "moves": waiting > 0 or (run is not None and run.status in {"pending", "expanding"}),
    }


def _expanded(run: ScheduleRun | None) -> int:
    if run is None:
        return 0
    skipped = run.skipped_inactive + run.skipped_opted_out + run.skipped_invalid + run.skipped_over_budget
    return run.created_messages + skipped
