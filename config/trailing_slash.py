"""API paths end in a slash; the same path without it means the same, for every method and without a redirect."""

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

PREFIXES = ("/api/", "/webhooks/")


def _complete(request: HttpRequest) -> None:
    # The provider signed the address that it called, so the callback views need the path as it came.
    request.path_as_sent = request.path
    if not request.path_info.endswith("/") and f"{request.path_info}/".startswith(PREFIXES):
        request.path_info += "/"
        request.path += "/"


@sync_and_async_middleware
def OptionalSlashMiddleware(get_response: Callable) -> Callable:  # noqa: N802 (named like the class a reader expects)
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            _complete(request)
            return await get_response(request)

    else:

        def middleware(request: HttpRequest) -> HttpResponse:
            _complete(request)
            return get_response(request)

    return middleware
