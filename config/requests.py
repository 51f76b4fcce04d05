"""What a request is before anybody reads it: text in UTF-8, a body of known length, a query of bounded size."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.http import parse_header_parameters

BYTES = "application/octet-stream"
PIECE = 64 * 1024
# Nobody reads a body that comes with one of these.
WITHOUT_BODY = {"GET", "HEAD"}


class _Utf8:
    """Whatever `charset` a Content-Type names: many of the codecs that Python knows cannot even read a query string."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            media_type, parameters = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:  # a parameter in an encoding that there is not; who looks at it later would meet it again
            meta["CONTENT_TYPE"] = media_type = BYTES
            parameters = {}
        self.content_type, self.content_params = media_type, parameters


class Utf8WSGIRequest(_Utf8, WSGIRequest):
    pass


class Utf8ASGIRequest(_Utf8, ASGIRequest):
    pass


def max_body_bytes(*, has_length: bool) -> int:
    """The largest body of any request; the parsers have lower limits. Only files may exceed `MAX_BODY_BYTES`, if announced."""
    return settings.MAX_UPLOAD_BYTES if has_length else settings.MAX_BODY_BYTES


def _refusal(request: HttpRequest, held: ExitStack) -> HttpResponse | None:
    """What is wrong with it before it has been looked at; `held` lets go of its body after the answer."""
    refused = getattr(request, "refused_body", None)
    if refused is not None:  # by config.handler: too slow, too large, or no room for it now
        headers = {"Retry-After": "5"} if refused == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return HttpResponse(status=refused, headers=headers)
    try:
        _ = request.GET
    except TooManyFieldsSent:  # anybody can ask so, and it is no news for the log
        return HttpResponse(status=400)
    if request.META.get("CONTENT_LENGTH") or request.method in WITHOUT_BODY:
        return None
    try:
        _measure(request, held)
    except RequestDataTooBig:
        return HttpResponse(status=413)
    return None


def _measure(request: HttpRequest, held: ExitStack) -> None:
    """Give a body that came without its length (`Transfer-Encoding: chunked`) one; all who read go by it.

    Raises `RequestDataTooBig`: whoever has more to send says so beforehand, and is measured by what it is sent to.
    """
    body: IO[bytes] = request._stream  # noqa: SLF001 (under ASGI the whole body, on disk already)
    if not body.seekable():
        if not request.META.get("wsgi.input_terminated"):  # nobody says where it ends: it could be waited for for ever
            return
        body = _spooled(request.META["wsgi.input"], held)  # Django's own stream ends at once without a length
        request._stream = body  # noqa: SLF001
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    if size > settings.MAX_BODY_BYTES:
        raise RequestDataTooBig
    if size:
        request.META["CONTENT_LENGTH"] = str(size)


def _spooled(source: IO[bytes], held: ExitStack) -> IO[bytes]:
    """What there is to read, but only so much that it can be told to be too much."""
    spool = SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115 (as long as the request)
    held.callback(spool.close)
    while spool.tell() <= settings.MAX_BODY_BYTES and (piece := source.read(PIECE)):
        spool.write(piece)
    return spool


@sync_and_async_middleware
def ReadableMiddleware(get_response: Callable) -> Callable:  # noqa: N802 (named like the class a reader expects)
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            with ExitStack() as held:
                return _refusal(request, held) or await get_response(request)

    else:

        def middleware(request: HttpRequest) -> HttpResponse:
            with ExitStack() as held:
                return _refusal(request, held) or get_response(request)

    return middleware
