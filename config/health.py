"""Health endpoints: the process is alive, it can serve requests, the whole system works."""

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
from providers import smpp_leases
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
    """Report whether this process can serve; 503 if not. `?exclude=broker` skips a check and may be repeated.

    Does not check the system as a whole, such as beat: a failure there would remove every process from a load balancer.
    """
    checks = {"database": _database, "broker": _broker}
    excluded = set(request.GET.getlist("exclude"))
    results = {name: check() for name, check in checks.items() if name not in excluded}
    results |= dict.fromkeys(sorted(excluded - checks.keys()), "there is no such check")
    return _respond(results, passed="ready", failed="not ready")


@csrf_exempt
@never_cache
@require_safe
def system(request: HttpRequest) -> JsonResponse:
    """Report whether the whole system works; 503 if any of `checks` failed. For alerts and operators.

    `tzdata` is for information only.
    """
    checks = {"database": _database(), "broker": _broker()}
    for name, check in (("beat", _beat), ("workers", _workers)):
        checks[name] = check() if checks["broker"] == "ok" else "unknown: the broker is unavailable"
    checks["oldest_due"] = _oldest_due() if checks["database"] == "ok" else "unknown: the database is unavailable"
    checks["smpp"] = _smpp() if checks["database"] == "ok" else "unknown: the database is unavailable"
    checks["routing"] = "ok" if checks["broker"] == "ok" else DEGRADED_ROUTING
    return _respond(checks, passed="healthy", failed="unhealthy", tzdata=_zone_data())


def _respond(checks: dict[str, str], *, passed: str, failed: str, **more: Any) -> JsonResponse:
    ok = all(result == "ok" for result in checks.values())
    response = JsonResponse({"status": passed if ok else failed, "checks": checks, **more}, status=200 if ok else 503)
    # Django's own attribute: without it, Django logs an error for each probe during a start.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


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
    """Check the time of the last tick: beat sends it and a worker runs it, so a recent one proves that both work."""
    age = heartbeats.seconds_since_tick()
    if age is None:
        return "no tick yet: beat or the workers are not running"
    return "ok" if age <= HEARTBEAT_MAX_AGE else f"the last tick was {age:.0f} s ago"


def _workers() -> str:
    return "ok" if heartbeats.workers() else f"no worker heartbeat for {heartbeats.WORKER_SILENT_SECONDS} s"


def _smpp() -> str:
    return "; ".join(smpp_leases.faults(now=timezone.now())) or "ok"


def _oldest_due() -> str:
    now = timezone.now()
    due = pacing.oldest_due(now=now)
    age = 0.0 if due is None else (now - due).total_seconds()
    return "ok" if age <= OLDEST_DUE_MAX_AGE else f"a message has been due for {age:.0f} s"
