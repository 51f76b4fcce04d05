"""A carrier that costs little, in a process of its own: it accepts each message, at once or after a delay.

`POST` accepts a message in the format of the sandbox carriers. `GET /` counts what was received since the last reset, and
`GET /calls` has it. `DELETE /calls?delay=0.2` resets, and sets the delay in seconds of the responses that follow. Times are
those of `time.monotonic`, which all processes of a machine share.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import requests

from benchmarks.processes import free_port, running

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
LENGTH = b"content-length:"
HEADERS_END = b"\r\n\r\n"


class Server:
    def __init__(self) -> None:
        self.delay = 0.0
        self.calls: list[tuple[float, bytes]] = []

    def respond(self, request_line: bytes, body: bytes) -> tuple[float, bytes]:
        """The seconds to wait and the response."""
        method, target, _ = request_line.split(b" ", 2)
        if method == b"POST":
            self.calls.append((time.monotonic(), body))
            return self.delay, b'{"message_id": "carrier-%d"}' % len(self.calls)
        if method == b"DELETE":
            self.delay = float(parse_qs(urlsplit(target.decode()).query)["delay"][0])
            self.calls = []
        elif target == b"/calls":
            return 0.0, json.dumps([[at, json.loads(body)] for at, body in self.calls]).encode()
        return 0.0, json.dumps({"count": len(self.calls)}).encode()


class Connection(asyncio.Protocol):
    """Only what the callers of this benchmark send: requests with a length, one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(HEADERS_END)
        if not found:
            return
        _, _, length = head.lower().partition(LENGTH)
        size = int(length.split(b"\r\n", 1)[0] or 0)
        if len(rest) < size:
            return
        self._received = rest[size:]
        seconds, body = self._server.respond(head.split(b"\r\n", 1)[0], rest[:size])
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._write, body)
        else:
            self._write(body)

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(RESPONSE % (len(body), body))


@dataclass(frozen=True)
class Call:
    """`at` is the time of arrival, `content` the body."""

    at: float
    content: dict[str, str]


class Carrier:
    """The client's side. `url` is the one that `setup --sandbox-url` takes."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def reset(self, *, delay: float = 0.0) -> None:
        self._session.delete(f"{self.url}/calls", params={"delay": delay}, timeout=10).raise_for_status()

    def count(self) -> int:
        return int(self._session.get(f"{self.url}/", timeout=10).json()["count"])

    def calls(self) -> list[Call]:
        return [Call(at, content) for at, content in self._session.get(f"{self.url}/calls", timeout=60).json()]


@contextlib.contextmanager
def carrier() -> Iterator[Carrier]:
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.carrier", "--port", str(port)], port=port):
        yield Carrier(port)


async def serve(port: int) -> None:
    server = Server()
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", port)
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
