"""Limits at the edge, counted by django-ratelimit in the cache that all processes share."""

import logging

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

logger = logging.getLogger(__name__)


def _usage(request: HttpRequest, *, group: str, key, rate: str, increment: bool) -> dict | None:
    """None when there is no telling: a cache that is away must not stop the sending."""
    try:
        return get_usage(request, group=group, key=key, rate=rate, increment=increment)
    except RedisError as error:
        logger.warning("rate limits are off while the cache is away (%s)", type(error).__name__)
        return None


class TokenThrottle(BaseThrottle):
    """`RATE_LIMIT_PER_TOKEN` for each token (for a browser session: for each user)."""

    def allow_request(self, request: Request, view: object) -> bool:
        if not request.user or not request.user.is_authenticated:
            return True
        identity = getattr(request.auth, "digest", None) or f"user:{request.user.pk}"
        usage = _usage(
            request,
            group="api",
            key=lambda *_: identity,
            rate=settings.RATE_LIMIT_PER_TOKEN,
            increment=True,
        )
        self._wait = 1.0 if usage is None else max(1.0, usage["time_left"])
        return usage is None or not usage["should_limit"]

    def wait(self) -> float:
        return self._wait


def refuse_guessing(request: HttpRequest) -> None:
    """Raise `Throttled` for an address with too many failed log-ins (`RATE_LIMIT_FAILED_LOGINS`)."""
    usage = _usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=False)
    if usage is not None and usage["count"] >= usage["limit"]:
        raise Throttled(wait=max(1, usage["time_left"]), detail="Too many failed log-ins from this address.")


def count_failed_login(request: HttpRequest) -> None:
    _usage(request, group="login", key="ip", rate=settings.RATE_LIMIT_FAILED_LOGINS, increment=True)
