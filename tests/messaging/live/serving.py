"""The live handler without a server: requests as a server would pass them, and the responses it would send."""

import asyncio
import gc
import json
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Self, TypeVar

from config.live import LiveHandler
from messaging.live import pubsub
from messaging.models import ClientEvent
from messaging.services.webhooks import event_log
from tests.factories import NOW, ClientEventFactory

T = TypeVar("T")
SECONDS = 60.0


def served(test: Callable[[LiveHandler], Awaitable[T]], **options: Any) -> T:
    """Return the result of `test`, run in its own loop with its own handler."""

    async def main() -> T:
        handler = LiveHandler(**options)
        try:
            return await asyncio.wait_for(test(handler), SECONDS)
        finally:
            await handler.close()

    with warnings.catch_warnings():
        # Each thread of the pool has its own connection to the cache, which ends with it.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return asyncio.run(main())
        finally:
            gc.collect()


class Connection:
    """One request, open while the block lasts. The response accumulates in `body`; with `is_slow`, sending blocks."""

    def __init__(
        self, handler: LiveHandler, path: str, *, token: str = "", method: str = "GET", **headers: str
    ) -> None:
        self._handler = handler
        path, _, query = path.partition("?")
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Host": "127.0.0.1"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        self._scope = {
            "type": "http",
            "method": method,
            "path": f"/api/v1/live/{path}",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
        }
        self.is_slow = False
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self._disconnected = asyncio.Event()
        self._request_sent = False
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._handler(self._scope, self._receive, self._send))
        self.task.add_done_callback(lambda _task: asyncio.ensure_future(self._notify()))
        await self.until(lambda: bool(self.status))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        await asyncio.wait_for(self.task, SECONDS)

    def hang_up(self) -> None:
        self._disconnected.set()

    @property
    def is_over(self) -> bool:
        return self.task.done()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition, or for the end of the response."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: condition() or self.task.done()), SECONDS)
        assert condition(), (self.status, self.body)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The first `count` events, as soon as they have arrived."""
        await self.until(lambda: len(self.data_blocks) >= count)
        return [json.loads(block["data"]) for block in self.data_blocks[:count]]

    async def json(self) -> Any:
        await asyncio.wait_for(asyncio.shield(self.task), SECONDS)
        return json.loads(self.body)

    @property
    def blocks(self) -> list[dict[str, str]]:
        """The fields of each complete block; a comment has no fields."""
        *complete, _rest = self.body.decode().split("\n\n")
        return [dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":") for block in complete]

    @property
    def data_blocks(self) -> list[dict[str, str]]:
        return [block for block in self.blocks if "data" in block]

    @property
    def heartbeats(self) -> int:
        return self.body.decode().splitlines().count(":")

    async def _receive(self) -> dict[str, Any]:
        if not self._request_sent:
            self._request_sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self.is_slow:
            await asyncio.Event().wait()
        if message["type"] == "http.response.start":
            self.status = HTTPStatus(message["status"])
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")
        await self._notify()

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()


def happen(owner: Any, count: int = 1, **more: Any) -> list[int]:
    """Create and number `count` events of this owner, and wake its streams. Returns the sequences."""
    events = [ClientEventFactory(message__owner=owner, **more) for _ in range(count)]
    event_log.number(now=NOW, notify=pubsub.publish)
    return list(
        ClientEvent.objects.filter(pk__in=[e.pk for e in events]).order_by("pk").values_list("sequence", flat=True)
    )


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, condition
        await asyncio.sleep(0.01)
