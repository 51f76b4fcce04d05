"""Is the process alive, and is the system able to work?"""

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from messaging.services import heartbeats, pacing
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
    """200 when everything works, else 503; `checks` says what is wrong with each part, or `ok`. `tzdata` only informs."""
    checks = {"database": _database(), "broker": _broker()}
    for name, check in (("beat", _beat), ("workers", _workers)):
        checks[name] = check() if checks["broker"] == "ok" else "unknown: the broker is away"
    checks["oldest_due"] = _oldest_due() if checks["database"] == "ok" else "unknown: the database is away"
    checks["routing"] = "ok" if checks["broker"] == "ok" else DEGRADED_ROUTING
    ready = all(answer == "ok" for answer in checks.values())
    body = {"status": "ready" if ready else "not ready", "checks": checks, "tzdata": _zone_data()}
    answer = JsonResponse(body, status=200 if ready else 503)
    answer._has_been_logged = True  # noqa: SLF001 (Django would log an error for each probe while we start)
    return answer


def _zone_data() -> dict[str, str | None]:
    return {"release": zone_data.RELEASE, "warning": zone_data.warning(timezone.now().date())}


def _database() -> str:
    try:
        pacing.queues_to_drain()
    except (DatabaseError, InterfaceError, PoolTimeout) as error:
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
    created = pacing.oldest_ready()
    age = 0.0 if created is None else (timezone.now() - created).total_seconds()
    return "ok" if age <= OLDEST_DUE_MAX_AGE else f"a message has been waiting for {age:.0f} s"
