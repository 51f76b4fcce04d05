"""Requests and failed log-ins of a client, counted in the shared cache, or per process while Redis is unavailable.

django-ratelimit reads the rates and names the windows; its `get_usage` counts failed log-ins. Requests are counted in one round
trip instead of three.
"""

import time
from dataclasses import dataclass
from typing import Protocol, cast

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django_ratelimit import ALL
from django_ratelimit.core import EXPIRATION_FUDGE, _get_window, _make_cache_key, _split_rate, get_usage

GROUP = "api"


class CountingCache(Protocol):
    """What this module needs of `config.cache.Cache`."""

    def count(self, key: str, seconds: int, *, by: int = 1) -> int: ...


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the requests are within the limit, the first ones; `wait` is in seconds, until more are."""

    admitted: int
    wait: float


def admit(identity: str, *, requests: int = 1) -> Admission:
    """Count requests of a client against `RATE_LIMIT_PER_TOKEN`, in one round trip."""
    rate = settings.RATE_LIMIT_PER_TOKEN
    limit, period = _split_rate(rate)
    window: int = _get_window(identity, period)
    key = _make_cache_key(GROUP, window, rate, identity, ALL)
    count = cast("CountingCache", cache).count(key, period + EXPIRATION_FUDGE, by=requests)
    admitted = min(requests, max(0, int(limit) - (count - requests)))
    return Admission(admitted, wait=max(1.0, window - int(time.time())))


def wait_after_failures(request: HttpRequest) -> float | None:
    """Seconds until the address may try to log in again, after too many failures (`RATE_LIMIT_FAILED_LOGINS`); else None."""
    usage = get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=False)
    if usage is None or usage["count"] < usage["limit"]:
        return None
    return max(1.0, float(usage["time_left"]))


def count_failure(request: HttpRequest) -> None:
    """Count a failed log-in of the request's address."""
    get_usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=True)
