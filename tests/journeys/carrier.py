"""A carrier controlled by a test: it records calls, answers with a given function, and posts receipts on request."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.journeys.local_server import LocalServer, QuietHandler


@dataclass(frozen=True)
class ReceivedCall:
    """One call that the carrier received."""

    path: str
    headers: Mapping[str, str]
    content: dict[str, Any]


Answer = tuple[int, Any]


class Carrier(LocalServer):
    """A context manager. `answer` is called for each message in its own thread and may block; bytes are sent as they are."""

    def __init__(self, answer: Callable[[ReceivedCall], Answer] | None = None) -> None:
        self.answer = answer or self.accept
        self.calls: list[ReceivedCall] = []
        self._ids = itertools.count(1)
        carrier = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802 (the name that its base class calls)
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                call = ReceivedCall(self.path, {k.lower(): v for k, v in self.headers.items()}, content)
                carrier.calls.append(call)
                status, body = carrier.answer(call)
                self._respond(status, body if isinstance(body, bytes) else json.dumps(body).encode())

            def _respond(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Handler)

    def new_id(self) -> str:
        return f"carrier-{next(self._ids)}"

    def accept(self, _call: ReceivedCall) -> Answer:
        return 200, {"message_id": self.new_id()}


def post_receipt(callback_url: str, message_id: str, status: str) -> requests.Response:
    """Post a receipt in the format of the sandbox carriers."""
    return requests.post(callback_url, json={"message_id": message_id, "status": status}, timeout=30)
