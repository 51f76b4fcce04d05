"""JSON for the schedule pages: the next runs of a rule while it is edited, and the progress of the newest run."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from messaging import states
from messaging.services.errors import InvalidField
from scheduling import recurrence
from scheduling.models import Schedule, ScheduleRun
from scheduling.services import queries, timing

SHOWN = 5
ORDER = [status.value for status in states.Status]


@require_POST
def preview(request: HttpRequest, model_admin: Any) -> JsonResponse:
    """Return the next runs of the form's current values, in its zone, or what is wrong with them."""
    if not model_admin.has_view_or_change_permission(request):
        raise PermissionDenied
    try:
        run_at = parse_datetime(request.POST.get("run_at", "").strip())
    except ValueError:
        run_at = None
    if run_at is None:
        return JsonResponse({"error": "Choose the time of the first run.", "runs": []})
    zone, rule = request.POST.get("time_zone", ""), request.POST.get("recurrence", "").strip()
    try:
        when = timing.check(run_at=run_at, time_zone=zone, rule=rule or None, now=timezone.now())
    except InvalidField as error:
        return JsonResponse({"error": error.detail, "runs": []})
    schedule = Schedule(time_zone=when.time_zone, recurrence=when.recurrence, start_wall=when.start_wall.isoformat())
    timing.set_next(schedule, (when.first_wall, when.first_utc))
    return JsonResponse({"error": "", "runs": next_runs(schedule)})


def next_runs(schedule: Schedule) -> list[str]:
    """Format the actual times: a wall time may be skipped or occur twice on a day."""
    zone = recurrence.zone(schedule.time_zone)
    times = [utc.astimezone(zone) for _, utc in timing.preview(schedule, count=SHOWN)]
    return [f"{time:%a %d %b %Y %H:%M %Z}" for time in times]


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
    return run.created_messages + run.skipped_inactive + run.skipped_opted_out + run.skipped_invalid if run else 0
