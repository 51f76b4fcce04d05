"""Normalises requests before views read them: text is UTF-8, the body's length is known, the query's size is limited."""

import os
from contextlib import ExitStack
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.http import parse_header_parameters

from config.middleware import GetResponse

BYTES = "application/octet-stream"
CHUNK = 64 * 1024
# A body sent with one of these methods is never read.
WITHOUT_BODY = {"GET", "HEAD"}


class _Utf8:
    """Ignores the `charset` of a Content-Type: many of Python's codecs cannot even decode a query string."""

    content_type: str | None
    content_params: dict[str, str] | None

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            media_type, parameters = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:  # a parameter in an unknown encoding; later readers of the header would fail as well
            meta["CONTENT_TYPE"] = media_type = BYTES
            parameters = {}
        self.content_type, self.content_params = media_type, parameters


class Utf8WSGIRequest(_Utf8, WSGIRequest):
    pass


class Utf8ASGIRequest(_Utf8, ASGIRequest):
    refused_body: HTTPStatus | None = None
    """Set by `config.handler` for a body that was too slow or too large, or that found no disk space."""


def max_body_bytes(*, has_length: bool) -> int:
    """Return the limit for any request; parsers have lower ones. Files may exceed `MAX_BODY_BYTES` if their length is known."""
    return settings.MAX_UPLOAD_BYTES if has_length else settings.MAX_BODY_BYTES


def _refusal(request: HttpRequest, resources: ExitStack) -> HttpResponse | None:
    """Return a response for a request that no view should see. `resources` closes the body after the response."""
    refused = getattr(request, "refused_body", None)
    if refused is not None:
        headers = {"Retry-After": "5"} if refused == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return HttpResponse(status=refused, headers=headers)
    try:
        _ = request.GET
    except TooManyFieldsSent:  # any client can send this, so it is not logged
        return HttpResponse(status=400)
    if request.META.get("CONTENT_LENGTH") or request.method in WITHOUT_BODY:
        return None
    try:
        _set_length(request, resources)
    except RequestDataTooBig:
        return HttpResponse(status=413)
    return None


def _set_length(request: HttpRequest, resources: ExitStack) -> None:
    """Set the length of a body that was sent without one (`Transfer-Encoding: chunked`), because parsers rely on it.

    Raises `RequestDataTooBig`: larger bodies must declare their length, and the view they are sent to checks it.
    """
    body: IO[bytes] = request._stream  # noqa: SLF001 (under ASGI the whole body, already on disk)
    if not body.seekable():
        if not request.META.get("wsgi.input_terminated"):  # the end is unknown: a read could block for ever
            return
        body = _spooled(request.META["wsgi.input"], resources)  # without a length, Django's stream is empty
        request._stream = cast("BinaryIO", body)  # noqa: SLF001 (only read, which a spooled file can do as well)
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    if size > settings.MAX_BODY_BYTES:
        raise RequestDataTooBig
    if size:
        request.META["CONTENT_LENGTH"] = str(size)


def _spooled(source: IO[bytes], resources: ExitStack) -> IO[bytes]:
    """Copy the body until its end, or until it is clearly larger than the limit."""
    spool = SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115 (as long as the request)
    resources.callback(spool.close)
    while spool.tell() <= settings.MAX_BODY_BYTES and (chunk := source.read(CHUNK)):
        spool.write(chunk)
    return spool


@sync_and_async_middleware
def ReadableMiddleware(get_response: GetResponse) -> GetResponse:  # noqa: N802 (middleware is named like a class)
    async def respond_async(request: HttpRequest) -> HttpResponse:
        with ExitStack() as resources:
            response: HttpResponse = _refusal(request, resources) or await get_response(request)
            return response

    def respond(request: HttpRequest) -> HttpResponse:
        with ExitStack() as resources:
            response: HttpResponse = _refusal(request, resources) or get_response(request)
            return response

    return respond_async if iscoroutinefunction(get_response) else respond
