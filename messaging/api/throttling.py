"""Request limits in REST framework's form. `messaging.request_limits` counts."""

from django.http import HttpRequest
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
    wait = request_limits.wait_after_failures(request)
    if wait is not None:
        raise Throttled(wait=wait, detail="Too many failed log-ins from this address.")
