"""Three questions: is the process alive, can it serve, does the system as a whole do its work?"""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from messaging.database_faults import DATABASE_FAULTS
from messaging.services.outbound import pacing
from messaging.services.reporting import heartbeats
from scheduling import zone_data

HEARTBEAT_MAX_AGE = 30.0
OLDEST_DUE_MAX_AGE = 300.0
DEGRADED_ROUTING = "degraded: by the configured weights, without circuits and limits"


@csrf_exempt
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@csrf_exempt
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Can this process serve? 503 with what is wrong. `?exclude=broker` leaves a check out, and may be repeated.

    What is wrong with the whole system, such as beat, is not asked here: it would take every process out of a balancer.
    """
    checks = {"database": _database, "broker": _broker}
    excluded = set(request.GET.getlist("exclude"))
    answers = {name: check() for name, check in checks.items() if name not in excluded}
    answers |= dict.fromkeys(sorted(excluded - checks.keys()), "there is no such check")
    return _answer(answers, well="ready", ill="not ready")


@csrf_exempt
@never_cache
@require_safe
def system(request: HttpRequest) -> JsonResponse:
    """Does the system do its work? For alerts and people: 503 where anything is wrong, `checks` says what, part by part.

    `tzdata` only informs.
    """
    checks = {"database": _database(), "broker": _broker()}
    for name, check in (("beat", _beat), ("workers", _workers)):
        checks[name] = check() if checks["broker"] == "ok" else "unknown: the broker is away"
    checks["oldest_due"] = _oldest_due() if checks["database"] == "ok" else "unknown: the database is away"
    checks["routing"] = "ok" if checks["broker"] == "ok" else DEGRADED_ROUTING
    return _answer(checks, well="healthy", ill="unhealthy", tzdata=_zone_data())


def _answer(checks: dict[str, str], *, well: str, ill: str, **more: Any) -> JsonResponse:
    fine = all(answer == "ok" for answer in checks.values())
    answer = JsonResponse({"status": well if fine else ill, "checks": checks, **more}, status=200 if fine else 503)
    answer._has_been_logged = True  # noqa: SLF001 (Django would log an error for each probe while we start)
    return answer


def _zone_data() -> dict[str, str | None]:
    return {"release": zone_data.RELEASE, "warning": zone_data.warning(timezone.now().date())}


def _database() -> str:
    try:
        pacing.queues_to_dispatch()
    except DATABASE_FAULTS as error:
        return f"failed: {type(error).__name__}"
    return "ok"


def _broker() -> str:
    try:
        heartbeats.seconds_since_tick()
    except (RedisError, OSError) as error:
        return f"failed: {type(error).__name__}"
    return "ok"


def _beat() -> str:
    """Beat sends the tick and a worker carries it out: a fresh heartbeat proves both."""
    age = heartbeats.seconds_since_tick()
    if age is None:
        return "no tick yet: beat or the workers are not running"
    return "ok" if age <= HEARTBEAT_MAX_AGE else f"the last tick was {age:.0f} s ago"


def _workers() -> str:
    return "ok" if heartbeats.workers() else f"no worker has shown life for {heartbeats.WORKER_SILENT_SECONDS} s"


def _oldest_due() -> str:
    now = timezone.now()
    due = pacing.oldest_due(now=now)
    age = 0.0 if due is None else (now - due).total_seconds()
    return "ok" if age <= OLDEST_DUE_MAX_AGE else f"a message has been due for {age:.0f} s"
