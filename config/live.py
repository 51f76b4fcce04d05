"""Serves long-lived requests under `/api/v1/live/`.

Middleware and view run in a thread of a small pool. The thread is free again before the wait begins.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import get_script_prefix
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from config import connections
from config.handler import KERNEL_SECONDS, WRITE_SECONDS, Handler, Receive, Scope, Send
from messaging.live.admission import AcceptedStream, LongPoll, RequestStage, set_stage
from messaging.live.hub import Hub, Subscription, TooManyConnections
from messaging.live.streams import Reader, stream, wait_for_change
from messaging.live.threads import Threads

PREFIX = "/api/v1/live/"
THREADS = 8


class LiveHandler(Handler):
    def __init__(self, *, write_seconds: float = WRITE_SECONDS) -> None:
        super().__init__(write_seconds=write_seconds)
        self.threads = Threads(THREADS)
        self._reader = Reader(self.threads)
        self.hub = Hub(redis_url=settings.REDIS_URL, per_user=settings.LIVE_STREAMS_PER_USER, threads=self.threads)

    async def close(self) -> None:
        await self.hub.close()
        self.threads.close()

    async def respond(self, request: HttpRequest, scope: Scope, receive: Receive, send: Send) -> None:
        responding = asyncio.create_task(self._respond(request, scope, send))
        disconnected = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((responding, disconnected), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (responding, disconnected):
                task.cancel()
            outcome, _ = await asyncio.gather(responding, disconnected, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _respond(self, request: HttpRequest, scope: Scope, send: Send) -> None:
        response: HttpResponseBase | None = await self._run_view(request, scope, RequestStage.ARRIVED)
        if isinstance(response, AcceptedStream):
            response = await self._wait(request, scope, response, send)
        if response is not None:
            await self.send_response(response, send)

    async def _wait(
        self, request: HttpRequest, scope: Scope, accepted: AcceptedStream, send: Send
    ) -> HttpResponseBase | None:
        """Return the response to send; None after a stream."""
        try:
            return await self._follow(request, scope, accepted, send)
        except TooManyConnections:
            return await self._run_view(request, scope, RequestStage.NO_SLOT)

    async def _follow(
        self, request: HttpRequest, scope: Scope, accepted: AcceptedStream, send: Send
    ) -> HttpResponseBase | None:
        order = accepted.order
        if isinstance(order, LongPoll):
            follower = Subscription(
                order.subscriber, owner_id=order.owner_id, message_id=order.message_id, unlike=order.unlike
            )
            async with self.hub.subscribe(follower):
                await wait_for_change(order, follower, self.threads)
            return await self._run_view(request, scope, RequestStage.WAITED)
        follower = Subscription(order.subscriber, owner_id=order.owner_id, message_id=order.message_id)
        async with self.hub.subscribe(follower, replace_oldest=order.resumes):
            accepted.streaming_content = stream(order, follower, self._reader)
            await self.send_response(accepted, send)
        return None

    async def _run_view(self, request: HttpRequest, scope: Scope, stage: RequestStage) -> HttpResponseBase:
        set_stage(request, stage)
        return await self.threads.run(self._view, request, scope)

    def _view(self, request: HttpRequest, scope: Scope) -> HttpResponseBase:
        """Run all middleware and the view."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            return self.get_response(request)
        finally:
            signals.request_finished.send(sender=self.__class__)


class LiveApplication:
    """Routes live requests to `LiveHandler` and others to `Handler`. Closes streams when the server receives a stop signal."""

    def __init__(self, django: Handler) -> None:
        self._django = django
        self._live = LiveHandler()
        self._has_begun = False
        self._listens_to_signals = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._has_begun:  # at import the server did not listen yet
            self._has_begun = True
            connections.limit_unread_time(KERNEL_SECONDS)
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._django(scope, receive, send)
            return
        if not self._listens_to_signals:
            self._listens_to_signals = True
            self._end_streams_on(signal.SIGTERM, signal.SIGINT)
        await self._live(scope, receive, send)

    def _end_streams_on(self, *numbers: signal.Signals) -> None:
        """Close streams before the server's own handlers run. Must be called in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in numbers:
            previous = signal.getsignal(number)
            if callable(previous):  # the server's handler; the default action is left alone

                def handle(received: int, frame: Any, previous: Callable[..., Any] = previous) -> None:
                    loop.call_soon_threadsafe(self._live.hub.end_all)
                    previous(received, frame)

                signal.signal(number, handle)
                signal.siginterrupt(number, False)
