"""Request limits, counted in the shared cache, or per process while Redis is unavailable.

django-ratelimit reads the rates and names the windows; its `get_usage` counts failed log-ins. A request of the API is counted
by `messaging.request_limits`, in one round trip instead of three.
"""

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from messaging import request_limits


class TokenThrottle(BaseThrottle):
    """Limit each token to `RATE_LIMIT_PER_TOKEN`. Requests with a browser session are limited per user."""

    def allow_request(self, request: Request, view: object) -> bool:
        if not request.user or not request.user.is_authenticated:
            return True
        identity = getattr(request.auth, "digest", None) or f"user:{request.user.pk}"
        admission = request_limits.admit(identity)
        self._wait = admission.wait
        return admission.admitted == 1

    def wait(self) -> float:
        return self._wait


def refuse_guessing(request: HttpRequest) -> None:
    """Raise `Throttled` for an address with too many failed log-ins (`RATE_LIMIT_FAILED_LOGINS`)."""
    usage = get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=False)
    if usage is not None and usage["count"] >= usage["limit"]:
        raise Throttled(wait=max(1, usage["time_left"]), detail="Too many failed log-ins from this address.")


def count_failed_login(request: HttpRequest) -> None:
    get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=True)
