"""Each request has an id, the caller's if it has a sane one: it is in every log line of the request, and in the answer."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from uuid_utils.compat import uuid7

from messaging import log_context

HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
# Probes and scrapes come every few seconds and tell nothing.
NOT_TRACED = ("/healthz", "/readyz", "/metrics", "/static/")


def _id_of(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if SANE.fullmatch(given) and not given.isdigit() else uuid7().hex


def _span(request: HttpRequest) -> AbstractContextManager[log_context.Span | None]:
    recorder = log_context.NULL_TRACER if request.path.startswith(NOT_TRACED) else log_context.tracer()
    return recorder.request(request.method, request.headers)


def _finish(request: HttpRequest, response: HttpResponse, given: str, span: log_context.Span | None) -> HttpResponse:
    response.headers[HEADER] = given
    if span is not None:
        # The pattern of the address, not the address: that one may hold a number.
        span.set_attribute("http.route", getattr(request.resolver_match, "route", ""))
        span.set_attribute("http.response.status_code", response.status_code)
        span.set_attribute("switchboard.request_id", given)
    return response


@sync_and_async_middleware
def RequestIdMiddleware(get_response: Callable) -> Callable:  # noqa: N802 (named like the class a reader expects)
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            given = _id_of(request)
            with log_context.request_context(given), _span(request) as span:
                return _finish(request, await get_response(request), given, span)

    else:

        def middleware(request: HttpRequest) -> HttpResponse:
            given = _id_of(request)
            with log_context.request_context(given), _span(request) as span:
                return _finish(request, get_response(request), given, span)

    return middleware
