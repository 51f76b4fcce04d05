"""A path without its trailing slash is served like the one with it."""

import pytest
from django.http import HttpRequest, HttpResponse

from config.trailing_slash import OptionalSlashMiddleware


def through(path: str) -> HttpRequest:
    request = HttpRequest()
    request.path = request.path_info = path
    OptionalSlashMiddleware(lambda _request: HttpResponse())(request)
    return request


@pytest.mark.parametrize("path", ["/api/v1/messages", "/webhooks/acme/status", "/api/schema", "/api", "/webhooks"])
def test_a_slash_is_added_under_the_api(path: str) -> None:
    request = through(path)

    assert (request.path, request.path_info) == (path + "/", path + "/")


@pytest.mark.parametrize("path", ["/api/v1/messages/", "/", "/admin", "/healthz", "/static/x.css", "/apixyz"])
def test_and_nowhere_else(path: str) -> None:
    request = through(path)

    assert (request.path, request.path_info) == (path, path)


@pytest.mark.parametrize("path", ["/webhooks/acme/status", "/webhooks/acme/status/"])
def test_the_original_path_is_kept_for_signatures(path: str) -> None:
    assert through(path).path_as_sent == path


def test_an_asynchronous_server_gets_the_same() -> None:
    request = HttpRequest()
    request.path = request.path_info = "/api/v1/messages"

    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(StopIteration):
        OptionalSlashMiddleware(answer)(request).send(None)

    assert request.path_info == "/api/v1/messages/"
