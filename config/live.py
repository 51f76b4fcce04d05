"""Serving what waits: `/api/v1/live/`, in the process made for it.

A request goes through all middlewares to its view in a thread of a small pool, which is free again before the waiting begins.
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
from config.handler import KERNEL_SECONDS, WRITE_SECONDS, Handler, Message, Receive, Send
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

    async def respond(self, request: HttpRequest, scope: Message, receive: Receive, send: Send) -> None:
        answering = asyncio.create_task(self._answer(request, scope, send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, leaving):
                task.cancel()
            outcome, _ = await asyncio.gather(answering, leaving, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _answer(self, request: HttpRequest, scope: Message, send: Send) -> None:
        response = await self._pass(request, scope, RequestStage.ARRIVED)
        if isinstance(response, AcceptedStream):
            response = await self._wait(request, scope, response, send)
        if response is not None:
            await self.send_response(response, send)

    async def _wait(
        self, request: HttpRequest, scope: Message, admitted: AcceptedStream, send: Send
    ) -> HttpResponseBase | None:
        """The answer that is left to give: none after a stream."""
        try:
            return await self._follow(request, scope, admitted, send)
        except TooManyConnections:
            return await self._pass(request, scope, RequestStage.NO_SLOT)

    async def _follow(
        self, request: HttpRequest, scope: Message, admitted: AcceptedStream, send: Send
    ) -> HttpResponseBase | None:
        order = admitted.order
        if isinstance(order, LongPoll):
            follower = Subscription(
                order.subscriber, owner_id=order.owner_id, message_id=order.message_id, unlike=order.unlike
            )
            async with self.hub.subscribe(follower):
                await wait_for_change(order, follower, self.threads)
            return await self._pass(request, scope, RequestStage.WAITED)
        follower = Subscription(order.subscriber, owner_id=order.owner_id, message_id=order.message_id)
        async with self.hub.subscribe(follower, replace_oldest=order.resumes):
            admitted.streaming_content = stream(order, follower, self._reader)
            await self.send_response(admitted, send)
        return None

    async def _pass(self, request: HttpRequest, scope: Message, visit: RequestStage) -> HttpResponseBase:
        set_stage(request, visit)
        return await self.threads.run(self._through, request, scope)

    def _through(self, request: HttpRequest, scope: Message) -> HttpResponseBase:
        """Through all middlewares to the view and back."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            return self.get_response(request)
        finally:
            signals.request_finished.send(sender=self.__class__)


class LiveApplication:
    """What is live to its handler, all else to Django's. Streams end when the server is told to stop, so that it can."""

    def __init__(self, django: Handler) -> None:
        self._django = django
        self._live = LiveHandler()
        self._has_begun = False
        self._listens_to_signals = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if not self._has_begun:  # the server listens only now
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
        """Beside the server's own handling, which goes by the loop's wake-up descriptor."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in numbers:
            before = signal.getsignal(number)
            if callable(before):  # the server listens; else the signal is to do what it does by itself

                def handle(received: int, frame: Any, before: Callable[..., Any] = before) -> None:
                    loop.call_soon_threadsafe(self._live.hub.end_all)
                    before(received, frame)

                signal.signal(number, handle)
                signal.siginterrupt(number, False)
