"""The two entry points without a server: requests as a server passes them, and the messages it would send."""

import asyncio
import io
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from config import wsgi
from config.handler import Handler


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Socket(io.BytesIO):
    """Records how much was read at once."""

    largest = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.largest = max(self.largest, len(data))
        return data


def by_wsgi(
    method: str, path: str, socket: io.BytesIO, headers: Mapping[str, str], *, is_terminated: bool = True
) -> Answer:
    """Like Granian: a body without a length, but with an end."""
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": socket, "wsgi.input_terminated": is_terminated,
        "REMOTE_ADDR": "127.0.0.1", "SCRIPT_NAME": "",
    }  # fmt: skip
    for header, value in headers.items():
        name = header.upper().replace("-", "_")
        environ[name if name == "CONTENT_TYPE" else f"HTTP_{name}"] = value
    started: list[Any] = []
    with closing(wsgi.application(environ, lambda *given: started.extend(given))) as pieces:
        body = b"".join(pieces)
    return Answer(int(started[0].split()[0]), dict(started[1]).get("Content-Type", ""), body)


class TestHandler(Handler):
    """Runs views in the thread of the test, which holds the test's database connection."""

    __test__ = False  # not a class of tests

    async def _in_thread(self, act: Callable[..., Any], *args: Any) -> Any:
        return await sync_to_async(act, thread_sensitive=True)(*args)


def by_asgi(method: str, path: str, socket: io.BytesIO, headers: Mapping[str, str]) -> Answer:
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    handler = TestHandler()
    has_ended = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal has_ended
        if has_ended:
            await asyncio.Event().wait()  # the client stays until it has its response
        piece = socket.read(64 * 1024)
        has_ended = not piece
        return {"type": "http.request", "body": piece, "more_body": not has_ended}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async_to_sync(handler)(scope, receive, send)
    start, *pieces = sent
    content_type = dict(start["headers"]).get(b"Content-Type", b"").decode()
    return Answer(start["status"], content_type, b"".join(piece["body"] for piece in pieces))
