"""Serves API paths without their trailing slash like those with it, for every method and without a redirect."""

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from config.middleware import GetResponse

PREFIXES = ("/api/", "/webhooks/")


def _complete(request: HttpRequest) -> None:
    # Providers sign the address that they call, so the callback views need the original path.
    request.path_as_sent = request.path  # type: ignore[attr-defined]  # our own attribute
    if not request.path_info.endswith("/") and f"{request.path_info}/".startswith(PREFIXES):
        request.path_info += "/"
        request.path += "/"


@sync_and_async_middleware
def OptionalSlashMiddleware(get_response: GetResponse) -> GetResponse:  # noqa: N802 (middleware is named like a class)
    async def respond_async(request: HttpRequest) -> HttpResponse:
        _complete(request)
        response: HttpResponse = await get_response(request)
        return response

    def respond(request: HttpRequest) -> HttpResponse:
        _complete(request)
        response: HttpResponse = get_response(request)
        return response

    return respond_async if iscoroutinefunction(get_response) else respond
