"""Serving requests under ASGI: the event loop receives the body, then one of a few threads runs middleware and view.

Django's own ASGI handler starts a thread for each request and crosses between loop and threads several times. Here a request
enters a thread once, when its body has arrived, and leaves it with the response.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections
from django.http import FileResponse, HttpRequest, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from config import connections
from config.request_body import BodyLimits, BodyRefused, DiskBudget, ReceivedBody, receive_body
from config.requests import Utf8ASGIRequest, max_body_bytes

logger = logging.getLogger(__name__)

# After a request with a larger body, what it leaves behind is collected at once.
LARGE_BODY = 256 * 1024
# A client that takes nothing of a response for so long is disconnected. The kernel counts what it holds itself, too, and is
# to be first, because it finds the connection without a search (config.connections).
WRITE_SECONDS = 20.0
KERNEL_SECONDS = 10.0

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ResponseNotRead(Exception):
    """The client takes nothing of it."""


class Handler(ASGIHandler):
    """`threads` is how many requests are handled at once; the others wait without a thread."""

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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        else:  # there are no WebSockets here: 403 for the handshake
            await send({"type": "websocket.close"})

    async def handle(self, scope: Message, receive: Receive, send: Send) -> None:
        with ReceivedBody(self._disk) as body:
            try:
                refused = await self._receive(scope, receive, body)
            except RequestAborted:  # the client has gone, or what it sent is not HTTP
                await self.send_response(HttpResponseBadRequest(), send)
                return
            request, bad_request = self.create_request(scope, body)
            if request is None:
                await self.send_response(bad_request, send)
                return
            request.refused_body = refused
            try:
                await self.respond(request, scope, receive, self._with_deadline(send))
            except ResponseNotRead:
                connections.cut(scope)
                logger.info("a client that reads no response was disconnected")
            finally:
                if body.size > LARGE_BODY:
                    del request
                    await self._in_thread(gc.collect)

    async def _receive(self, scope: Message, receive: Receive, body: ReceivedBody) -> HTTPStatus | None:
        """The status with which the request has to be refused, if its body could not be received."""
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

    async def respond(self, request: HttpRequest, scope: Message, receive: Receive, send: Send) -> None:
        response = await self._in_thread(self._run, request, scope)
        if response.streaming:
            await self._stream(response, scope, receive, send)
        else:
            await self.send_response(response, send)

    async def _stream(self, response: HttpResponseBase, scope: Message, receive: Receive, send: Send) -> None:
        """Send until the client leaves. When it breaks off, the connection is closed: the server would end it as if whole."""
        leaving = asyncio.ensure_future(receive())
        response.streaming_content = self._pieces(iter(response), leaving)
        try:
            await self.send_response(response, send)
        except ResponseNotRead:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, its headers are sent: no error page can follow)
            logger.error("a response broke off: %s", type(error).__name__)
            connections.cut(scope)
        finally:
            leaving.cancel()
            await self._in_thread(response.close)

    async def _in_thread(self, act: Callable[..., Any], *args: Any) -> Any:
        """Without the caller's context: Django keeps cache connections in it, and each request would open new ones."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, act, *args)

    def _run(self, request: HttpRequest, scope: Message) -> HttpResponseBase:
        """Run middleware and view. What the request holds is released in this thread, a streamed body's file later."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        response = self.get_response(request)
        response._handler_class = self.__class__  # noqa: SLF001 (the sender of request_finished, as Django's handlers set it)
        if not response.streaming:
            response.close()
            return response
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        close_old_connections()
        return response

    async def _pieces(self, content: Iterator[bytes], leaving: asyncio.Future) -> AsyncIterator[bytes]:
        while not leaving.done() and (piece := await self._in_thread(_next_piece, content, self.chunk_size)):
            yield piece

    def _with_deadline(self, send: Send) -> Send:
        """`send` that raises `ResponseNotRead` when the client takes nothing for too long."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._write_seconds):
                    await send(message)
            except TimeoutError:
                raise ResponseNotRead from None

        return send_in_time


def _next_piece(content: Iterator[bytes], size: int) -> bytes:
    """At least `size` bytes, or what is left; empty at the end."""
    pieces: list[bytes] = []
    length = 0
    try:
        for piece in content:
            pieces.append(piece)
            length += len(piece)
            if length >= size:
                break
    finally:
        close_old_connections()
    return b"".join(pieces)
