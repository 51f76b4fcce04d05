"""The ASGI handler: the event loop receives the body, then a thread of a small pool runs middleware and view.

Django's own ASGI handler starts a thread per request and switches between loop and thread several times. Here a request enters
a thread once, after its body has arrived, and leaves it with the response.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar, TypeVarTuple

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections
from django.http import FileResponse, HttpRequest, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from config import connections
from config.request_body import BodyLimits, BodyRefused, DiskBudget, ReceivedBody, receive_body
from config.requests import Utf8ASGIRequest, max_body_bytes

logger = logging.getLogger(__name__)

# After a request with a larger body, garbage is collected at once.
LARGE_BODY = 256 * 1024
# A client that reads nothing of a response for this long is disconnected. The kernel's limit also counts data in its buffers.
# It is shorter, because the kernel needs no search for the connection (config.connections).
WRITE_SECONDS = 20.0
KERNEL_SECONDS = 10.0

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class ResponseNotRead(Exception):
    """The client does not read the response."""


class Handler(ASGIHandler):
    """`threads` is how many requests are handled at once; further requests wait without a thread."""

    request_class = Utf8ASGIRequest

    def __init__(
        self, *, threads: int | None = None, limits: BodyLimits | None = None, write_seconds: float = WRITE_SECONDS
    ) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(threads or settings.WEB_THREADS, thread_name_prefix="web")
        self._limits = limits or BodyLimits()
        self._write_seconds = write_seconds
        self._disk = DiskBudget(settings.MAX_SPOOLED_BYTES)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        else:  # WebSockets are not supported: 403 for the handshake
            await send({"type": "websocket.close"})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ReceivedBody(self._disk) as body:
            try:
                refused = await self._receive(scope, receive, body)
            except RequestAborted:  # the client disconnected, or sent something other than HTTP
                await self.send_response(HttpResponseBadRequest(), send)
                return
            request, bad_request = self.create_request(scope, body)
            if not isinstance(request, Utf8ASGIRequest):  # None: the request cannot be parsed
                await self.send_response(bad_request or HttpResponseBadRequest(), send)
                return
            request.refused_body = refused
            try:
                await self.respond(request, scope, receive, self._with_deadline(send))
            except ResponseNotRead:
                connections.cut(scope)
                logger.info("a client that did not read its response was disconnected")
            finally:
                if body.size > LARGE_BODY:
                    del request
                    await self._in_thread(gc.collect)

    async def _receive(self, scope: Scope, receive: Receive, body: ReceivedBody) -> HTTPStatus | None:
        """Receive the body; returns the status of the refusal if that fails. Raises `RequestAborted`."""
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        try:
            await receive_body(
                receive,
                body,
                announced=int(announced) if announced.isdigit() else 0,
                max_bytes=max_body_bytes(has_length=b"content-length" in headers),
                limits=self._limits,
            )
        except BodyRefused as refusal:
            return refusal.status
        return None

    async def respond(self, request: HttpRequest, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._in_thread(self._run, request, scope)
        if isinstance(response, StreamingHttpResponse):
            await self._stream(response, scope, receive, send)
        else:
            await self.send_response(response, send)

    async def _stream(self, response: StreamingHttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client disconnects. After an error the connection is cut, or the response would look complete."""
        disconnected = asyncio.ensure_future(receive())
        response.streaming_content = self._chunks(iter(response), disconnected)
        try:
            await self.send_response(response, send)
        except ResponseNotRead:
            raise
        except Exception as error:  # noqa: BLE001 (the headers are sent, so no error page can follow)
            logger.error("a response broke off: %s", type(error).__name__)
            connections.cut(scope)
        finally:
            disconnected.cancel()
            await self._in_thread(response.close)

    async def _in_thread(self, function: Callable[[*Arguments], T], *args: *Arguments) -> T:
        """Run without the caller's context, which holds Django's cache connections: each request would open new ones."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def _run(self, request: HttpRequest, scope: Scope) -> HttpResponseBase:
        """Run middleware and view. Closes the response in this thread, a streaming one later."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        response = self.get_response(request)
        # The sender of request_finished; Django's handlers set it as well.
        response._handler_class = self.__class__  # type: ignore[attr-defined]  # noqa: SLF001
        if not response.streaming:
            response.close()
            return response
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        close_old_connections()
        return response

    async def _chunks(self, content: Iterator[bytes], disconnected: asyncio.Future[Message]) -> AsyncIterator[bytes]:
        while not disconnected.done() and (chunk := await self._in_thread(_next_chunk, content, self.chunk_size)):
            yield chunk

    def _with_deadline(self, send: Send) -> Send:
        """Return a `send` that raises `ResponseNotRead` if the client does not read for too long."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._write_seconds):
                    await send(message)
            except TimeoutError:
                raise ResponseNotRead from None

        return send_in_time


def _next_chunk(content: Iterator[bytes], size: int) -> bytes:
    """Return at least `size` bytes, or the rest; empty at the end."""
    chunks: list[bytes] = []
    length = 0
    try:
        for chunk in content:
            chunks.append(chunk)
            length += len(chunk)
            if length >= size:
                break
    finally:
        close_old_connections()
    return b"".join(chunks)
