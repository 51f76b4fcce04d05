"""Request limits, counted in the shared cache, or per process while Redis is unavailable.

django-ratelimit reads the rates and names the windows; its `get_usage` counts failed log-ins. A request of the API is counted
here, in one round trip instead of three.
"""

import time
from typing import Protocol, cast

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django_ratelimit import ALL
from django_ratelimit.core import EXPIRATION_FUDGE, _get_window, _make_cache_key, _split_rate, get_usage
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

GROUP = "api"


class CountingCache(Protocol):
    """What this module needs of `config.cache.Cache`."""

    def count(self, key: str, seconds: int) -> int: ...


class TokenThrottle(BaseThrottle):
    """Limit each token to `RATE_LIMIT_PER_TOKEN`. Requests with a browser session are limited per user."""

    def allow_request(self, request: Request, view: object) -> bool:
        if not request.user or not request.user.is_authenticated:
            return True
        identity = getattr(request.auth, "digest", None) or f"user:{request.user.pk}"
        rate = settings.RATE_LIMIT_PER_TOKEN
        limit, period = _split_rate(rate)
        window: int = _get_window(identity, period)
        key = _make_cache_key(GROUP, window, rate, identity, ALL)
        count = cast("CountingCache", cache).count(key, period + EXPIRATION_FUDGE)
        self._wait = max(1.0, window - int(time.time()))
        return count <= int(limit)

    def wait(self) -> float:
        return self._wait


def refuse_guessing(request: HttpRequest) -> None:
    """Raise `Throttled` for an address with too many failed log-ins (`RATE_LIMIT_FAILED_LOGINS`)."""
    usage = get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=False)
    if usage is not None and usage["count"] >= usage["limit"]:
        raise Throttled(wait=max(1, usage["time_left"]), detail="Too many failed log-ins from this address.")


def count_failed_login(request: HttpRequest) -> None:
    get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=True)
