"""Requests between the event loop and its threads."""

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from config import urls
from config.handler import Handler
from config.request_body import BodyLimits

SECONDS = 30.0
# The end of a request closes old database connections, which touches the database.
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

threads: set[str] = set()
closed: list[str] = []
in_the_view = threading.Event()
may_return = threading.Event()


def answer(request: HttpRequest) -> HttpResponse:
    threads.add(threading.current_thread().name)
    return HttpResponse(f"{request.method} {len(request.body)}")


def hold(_request: HttpRequest) -> HttpResponse:
    in_the_view.set()
    may_return.wait(SECONDS)
    return HttpResponse("held")


def pieces(_request: HttpRequest) -> StreamingHttpResponse:
    def content() -> Any:
        for number in range(100_000):
            threads.add(threading.current_thread().name)
            yield f"{number}\n"

    response = StreamingHttpResponse(content())
    response._resource_closers.append(lambda: closed.append("pieces"))
    return response


def breaking(_request: HttpRequest) -> StreamingHttpResponse:
    def content() -> Any:
        yield "first"
        raise RuntimeError("broken")

    response = StreamingHttpResponse(content())
    response._resource_closers.append(lambda: closed.append("breaking"))
    return response


def file(_request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))  # noqa: PTH123 (the response closes it)


def broken(_request: HttpRequest) -> HttpResponseBase:
    raise RuntimeError("broken")


urlpatterns = [path(view.__name__, csrf_exempt(view)) for view in (answer, hold, pieces, breaking, file, broken)]
urlpatterns += urls.urlpatterns


class Request:
    """One request, and the messages that the server has to send."""

    def __init__(self, url: str, *, body: bytes = b"", has_arrived: bool = True, reads: bool = True) -> None:
        self.scope = {
            "type": "http", "method": "POST", "path": url, "query_string": b"",
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
            "headers": [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())],
        }  # fmt: skip
        self._body = body
        self._arrived = asyncio.Event()
        if has_arrived:
            self._arrived.set()
        self._reads = reads
        self._received = False
        self.has_left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    def arrive(self) -> None:
        self._arrived.set()

    async def receive(self) -> dict[str, Any]:
        if self._received:
            await self.has_left.wait()
            return {"type": "http.disconnect"}
        await self._arrived.wait()
        self._received = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if not self._reads and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def content(self) -> list[bytes]:
        return [message.get("body", b"") for message in self.sent[1:]]


def serve(act: Callable[[Handler], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        await asyncio.wait_for(act(Handler(**options)), SECONDS)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # connections of the pool's threads, which end with them
        asyncio.run(main())
        gc.collect()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    threads.clear()
    closed.clear()
    in_the_view.clear()
    may_return.clear()


def test_bodies_that_do_not_arrive_occupy_no_thread() -> None:
    async def act(handler: Handler) -> None:
        slow = [Request("/answer", body=b"12345", has_arrived=False) for _ in range(200)]
        tasks = [asyncio.create_task(handler(each.scope, each.receive, each.send)) for each in slow]
        await asyncio.sleep(0)
        quick = Request("/answer", body=b"1")
        await handler(quick.scope, quick.receive, quick.send)
        assert (quick.status, quick.content) == (200, [b"POST 1"])
        assert not any(each.sent for each in slow)
        for each in slow:
            each.arrive()
        await asyncio.gather(*tasks)
        assert {(each.status, *each.content) for each in slow} == {(200, b"POST 5")}

    serve(act, threads=1)

    assert threads == {"web_0"}


def test_a_body_that_is_too_slow_is_408_and_reaches_no_view() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/answer", body=b"12345", has_arrived=False)
        await handler(request.scope, request.receive, request.send)
        assert request.status == HTTPStatus.REQUEST_TIMEOUT

    serve(act, limits=BodyLimits(idle_seconds=0.01))

    assert threads == set()


@pytest.mark.parametrize("url", ["/api/v1/messages/", "/webhooks/acme/status/"])
def test_under_the_api_that_is_a_problem_document(url: str) -> None:
    async def act(handler: Handler) -> None:
        request = Request(url, body=b"12345", has_arrived=False)
        await handler(request.scope, request.receive, request.send)
        assert request.status == HTTPStatus.REQUEST_TIMEOUT
        assert (b"Content-Type", b"application/problem+json") in request.sent[0]["headers"]
        assert b'"request_timeout"' in request.content[0]

    serve(act, limits=BodyLimits(idle_seconds=0.01))


def test_a_body_over_the_disk_budget_is_503_with_retry_after(settings) -> None:
    settings.MAX_SPOOLED_BYTES = 100

    async def act(handler: Handler) -> None:
        request = Request("/answer", body=b"x" * (settings.FILE_UPLOAD_MAX_MEMORY_SIZE + 1))
        await handler(request.scope, request.receive, request.send)
        assert request.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert (b"Retry-After", b"5") in request.sent[0]["headers"]

    serve(act)


def test_requests_that_wait_for_a_thread_are_handled_in_order() -> None:
    async def act(handler: Handler) -> None:
        first, second = Request("/hold"), Request("/answer")
        tasks = [asyncio.create_task(handler(each.scope, each.receive, each.send)) for each in (first, second)]
        await asyncio.to_thread(in_the_view.wait, SECONDS)
        assert second.sent == []
        may_return.set()
        await asyncio.gather(*tasks)
        assert (first.content, second.content) == ([b"held"], [b"POST 0"])

    serve(act, threads=1)


def test_a_stream_is_produced_in_threads_in_chunks_and_closed() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/pieces")
        await handler(request.scope, request.receive, request.send)
        *content, end = request.content
        assert b"".join(content) == "".join(f"{number}\n" for number in range(100_000)).encode()
        assert {len(piece) >= handler.chunk_size for piece in content[:-1:2]} == {True}
        assert end == b""

    serve(act)

    assert {name.partition("_")[0] for name in threads} == {"web"}
    assert closed == ["pieces"]


def test_a_file_is_sent_whole() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/file")
        await handler(request.scope, request.receive, request.send)
        with open(__file__, "rb") as source:  # noqa: ASYNC230, PTH123 (a small file, in a test)
            assert b"".join(request.content) == source.read()

    serve(act)


def test_a_client_that_reads_nothing_is_disconnected_and_the_stream_closed() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/pieces", reads=False)
        await handler(request.scope, request.receive, request.send)
        assert request.content == []

    serve(act, write_seconds=0.01)

    assert closed == ["pieces"]


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """A client, and the scope entries that describe it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0],
    ):
        client.settimeout(SECONDS)
        yield client, {"client": client.getsockname(), "server": listener.getsockname()}


@pytest.mark.parametrize(("url", "reads"), [("/pieces", False), ("/breaking", True)])
def test_a_response_that_breaks_off_does_not_look_complete(
    connection: tuple[socket.socket, dict[str, Any]], url: str, *, reads: bool
) -> None:
    """The server terminates every response; a client must not mistake a partial one for a complete one."""
    client, ends = connection

    async def act(handler: Handler) -> None:
        request = Request(url, reads=reads)
        await handler(request.scope | ends, request.receive, request.send)

    serve(act, write_seconds=1.0 if reads else 0.01)

    assert closed == [url[1:]]
    assert client.recv(1) == b""  # closed


def test_nothing_more_is_produced_for_a_disconnected_client() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/pieces")
        request.has_left.set()
        await handler(request.scope, request.receive, request.send)
        assert sum(map(len, request.content)) <= 2 * handler.chunk_size

    serve(act)

    assert closed == ["pieces"]


def test_a_body_that_cannot_be_read_is_400() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/answer", body=b"12345")
        request._received = True  # granian does this for a body that ends early, or invalid chunks
        request.has_left.set()
        await handler(request.scope, request.receive, request.send)
        assert request.status == HTTPStatus.BAD_REQUEST

    serve(act)

    assert threads == set()


def test_a_websocket_is_refused() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/answer")
        await handler({"type": "websocket", "path": "/answer", "headers": []}, request.receive, request.send)
        assert request.sent == [{"type": "websocket.close"}]

    serve(act)


def test_it_starts_without_warnings_before_static_files_are_collected(settings, tmp_path) -> None:
    settings.STATIC_ROOT = tmp_path / "static"

    serve(lambda _handler: asyncio.sleep(0))  # a warning would be an error


def test_a_view_that_fails_is_500() -> None:
    async def act(handler: Handler) -> None:
        request = Request("/broken")
        await handler(request.scope, request.receive, request.send)
        assert request.status == HTTPStatus.INTERNAL_SERVER_ERROR

    serve(act)
