"""Refuses NUL bytes in addresses and forms of the console: nothing there contains them, and PostgreSQL cannot store them."""

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.decorators import sync_and_async_middleware

from config.middleware import GetResponse

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
def NulByteMiddleware(get_response: GetResponse) -> GetResponse:  # noqa: N802 (middleware is named like a class)
    async def respond_async(request: HttpRequest) -> HttpResponse:
        await sync_to_async(_refuse)(request)
        response: HttpResponse = await get_response(request)
        return response

    def respond(request: HttpRequest) -> HttpResponse:
        _refuse(request)
        response: HttpResponse = get_response(request)
        return response

    return respond_async if iscoroutinefunction(get_response) else respond
