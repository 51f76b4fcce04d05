"""No part of the console has a NUL byte, and PostgreSQL takes none: an address or a form with one is refused at once."""

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.decorators import sync_and_async_middleware

PREFIX = "/admin/"
NUL = "\x00"


def _refuse(request: HttpRequest) -> None:
    if request.path_info.startswith(PREFIX) and (
        NUL in request.path_info or _has_nul(request.GET) or (request.method == "POST" and _has_nul(request.POST))
    ):
        raise BadRequest("a NUL byte")


def _has_nul(fields: QueryDict) -> bool:
    return any(NUL in text for name, values in fields.lists() for text in (name, *values))


@sync_and_async_middleware
def NulByteMiddleware(get_response: Callable) -> Callable:  # noqa: N802 (named like the class a reader expects)
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            await sync_to_async(_refuse)(request)
            return await get_response(request)

    else:

        def middleware(request: HttpRequest) -> HttpResponse:
            _refuse(request)
            return get_response(request)

    return middleware
