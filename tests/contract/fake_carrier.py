"""A carrier on loopback: a test decides every byte of its responses, their speed, and how they break."""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(), keep_blank_values=True)

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


TLS_HANDSHAKE = b"\x16\x03"

Play = Callable[["FakeCarrier", socket.socket], None]


class FakeCarrier:
    """Answers every request with `play`, and keeps what it received in `received`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.play: Play = answer(200, b"{}")
        self.received: list[Received] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._thread, *self._threads]:
            thread.join(timeout=5)

    def is_disconnected(self) -> bool:
        """Whether the client has closed all connections; waits up to 5 seconds for that."""
        for thread in self._threads:
            thread.join(timeout=5)
        return not any(thread.is_alive() for thread in self._threads)

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self._tls:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
            while not self.stopped.is_set() and (request := self._read(connection)):
                self.received.append(request)
                self.play(self, connection)

    def _read(self, connection: socket.socket) -> Received | None:
        connection.settimeout(0.05)
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                if self.stopped.is_set():
                    return None
                continue
            if not chunk or chunk.startswith(TLS_HANDSHAKE):
                return None  # like every server without TLS, which cannot read such a request
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        connection.settimeout(5)
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        method, target, _version = first.split(" ")
        return Received(method, target, headers, body)


def answer(status: int, body: bytes | Any = b"", headers: dict[str, str] | None = None) -> Play:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return send("\r\n".join([*lines, "", ""]).encode() + content)


def send(data: bytes, *, then_close: bool = False) -> Play:
    def play(_carrier: FakeCarrier, connection: socket.socket) -> None:
        connection.sendall(data)
        if then_close:
            raise ConnectionAbortedError

    return play


def say_nothing(carrier: FakeCarrier, _connection: socket.socket) -> None:
    carrier.stopped.wait(5)
    raise ConnectionAbortedError


def hang_up(_carrier: FakeCarrier, _connection: socket.socket) -> None:
    raise ConnectionAbortedError


def reset(_carrier: FakeCarrier, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    raise ConnectionAbortedError


def trickle(start: bytes, drip: bytes) -> Play:
    """After the start one drip every 50 ms, until the client closes the connection."""

    def play(carrier: FakeCarrier, connection: socket.socket) -> None:
        connection.sendall(start)
        while not carrier.stopped.wait(0.05):
            connection.sendall(drip)

    return play


def flood(start: bytes, chunk: bytes, count: int) -> Play:
    def play(_carrier: FakeCarrier, connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(count):
            connection.sendall(chunk)
        raise ConnectionAbortedError

    return play


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN_RESPONSES: dict[str, Play] = {
    "no answer in time": say_nothing,
    "hung up without an answer": hang_up,
    "reset after the request": reset,
    "not HTTP": send(b"\x00\xff\x00 what?\r\n\r\n", then_close=True),
    "cut in the body": send(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", then_close=True),
    "a broken chunk": send(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", then_close=True),
    "not really gzip": answer(200, b"plain", {"Content-Encoding": "gzip"}),
    "10 MB of body": flood(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", b" " * 65536, 160),
    "10 MB of chunks": flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", 160),
    "endless headers": trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "an endless body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "),
    "a body that is not JSON": answer(200, b"<html>OK</html>"),
    "a body that is not text": answer(200, b"\xff\xfe\x00\x80"),
    "a body nested too deeply": answer(200, b"[" * 60_000),
    "a redirect": answer(302, b"", {"Location": "/elsewhere"}),
    "a redirect with a large body": flood(
        b"HTTP/1.1 307 X\r\nLocation: /a\r\nContent-Length: 10485760\r\n\r\n", b" " * 65536, 160
    ),
    "an unexpected success": answer(299, b"<html>"),
    "an unexpected 5xx": answer(599, b"{}"),
}
