"""Gives each request an id, the client's if it is valid. The id is in all log lines of the request and in the response."""

import re
from contextlib import AbstractContextManager

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from uuid_utils.compat import uuid7

from config.middleware import GetResponse
from messaging import log_context

HEADER = "X-Request-ID"
VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
# Probes and scrapes come every few seconds, and their traces are of no use.
NOT_TRACED = ("/healthz", "/readyz", "/metrics", "/static/")


def _id_of(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if VALID_ID.fullmatch(given) and not given.isdigit() else uuid7().hex


def _span(request: HttpRequest) -> AbstractContextManager[log_context.Span | None]:
    tracer = log_context.NULL_TRACER if request.path.startswith(NOT_TRACED) else log_context.tracer()
    return tracer.request(request.method or "", request.headers)


def _finish(
    request: HttpRequest, response: HttpResponse, request_id: str, span: log_context.Span | None
) -> HttpResponse:
    response.headers[HEADER] = request_id
    if span is not None:
        # The pattern of the address: the address itself may contain a phone number.
        span.set_attribute("http.route", getattr(request.resolver_match, "route", ""))
        span.set_attribute("http.response.status_code", response.status_code)
        span.set_attribute("switchboard.request_id", request_id)
    return response


@sync_and_async_middleware
def RequestIdMiddleware(get_response: GetResponse) -> GetResponse:  # noqa: N802 (middleware is named like a class)
    async def respond_async(request: HttpRequest) -> HttpResponse:
        request_id = _id_of(request)
        with log_context.request_context(request_id), _span(request) as span:
            return _finish(request, await get_response(request), request_id, span)

    def respond(request: HttpRequest) -> HttpResponse:
        request_id = _id_of(request)
        with log_context.request_context(request_id), _span(request) as span:
            return _finish(request, get_response(request), request_id, span)

    return respond_async if iscoroutinefunction(get_response) else respond
