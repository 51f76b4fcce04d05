"""A proxy between workers and carriers that injects faults: before the carrier receives the request, or in the response.

A fault is a function of one visit. It may forward the request, in which case the carrier has accepted the message, and it
sends any response to the worker.
"""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

LARGE = 10 * 1024 * 1024
TRICKLE_SECONDS = 0.2
HANDSHAKE_SECONDS = 5.0
CARRIER_SECONDS = 30.0
LINGER_NOT = struct.pack("ii", 1, 0)


class Visit:
    """One request of a worker."""

    def __init__(self, handler: "_Handler", body: bytes) -> None:
        self._handler = handler
        self._body = body

    def forward(self) -> tuple[int, bytes]:
        """The response of the carrier, which has then accepted the message, regardless of what the worker receives."""
        handler = self._handler
        carrier = http.client.HTTPConnection(handler.server.proxy.target, timeout=CARRIER_SECONDS)
        try:
            carrier.request(
                handler.command, handler.path, self._body, {"Content-Type": handler.headers["Content-Type"]}
            )
            answer = carrier.getresponse()
            return answer.status, answer.read()
        finally:
            carrier.close()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A well-formed response; `headers` with underscores for hyphens."""
        self.say(head(status, length=len(body), headers=headers) + body)

    def say(self, raw: bytes) -> None:
        self._handler.wfile.write(raw)

    def hang_up(self) -> None:
        self._handler.close_connection = True

    def reset(self) -> None:
        """Reset the connection: data in transit is discarded."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.hang_up()

    def pause(self, seconds: float) -> bool:
        """False when the proxy is being stopped."""
        return not self._handler.server.proxy.stopping.wait(seconds)


def head(status: int, *, length: int, headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {http.client.responses[status]}\r\n{text}\r\n".encode()


Fault = Callable[[Visit], None]

# --- Faults: the carrier never gets the message -----------------------------------------------------------------------


def server_error(visit: Visit) -> None:
    visit.answer(500)


def slow_down(visit: Visit) -> None:
    visit.answer(429, Retry_After="2")


# --- Faults: the carrier accepted the message -------------------------------------------------------------------------


def passed(visit: Visit) -> None:
    """No fault."""
    visit.answer(*visit.forward())


def disconnected(visit: Visit) -> None:
    visit.forward()
    visit.hang_up()


def reset(visit: Visit) -> None:
    visit.forward()
    visit.reset()


def trickled(visit: Visit) -> None:
    """Byte by byte, so that no single wait is long."""
    status, body = visit.forward()
    for byte in head(status, length=len(body)) + body:
        visit.say(bytes([byte]))
        if not visit.pause(TRICKLE_SECONDS):
            return


def garbage(visit: Visit) -> None:
    visit.forward()
    visit.say(b"\x00\xff\xfe what is this\r\n\r\n")
    visit.hang_up()


def web_page(visit: Visit) -> None:
    visit.forward()
    visit.answer(200, b"<html><title>Welcome to our new platform</title></html>", Content_Type="text/html")


def empty(visit: Visit) -> None:
    visit.forward()
    visit.answer(200)


def bad_gateway(visit: Visit) -> None:
    visit.forward()
    visit.answer(502)


def gateway_timeout(visit: Visit) -> None:
    visit.forward()
    visit.answer(504)


def origin_timeout(visit: Visit) -> None:
    visit.forward()
    visit.answer(524)


def redirected(visit: Visit) -> None:
    visit.forward()
    visit.answer(302, Location="/elsewhere")


def flooded(visit: Visit) -> None:
    visit.forward()
    visit.hang_up()
    visit.say(head(200, length=LARGE))
    piece = b" " * 65_536
    for _ in range(LARGE // len(piece)):
        visit.say(piece)


def killing(pids: Collection[int]) -> Fault:
    """Kill the processes after the carrier accepted a message and before it responds. Only once."""
    first = itertools.count()

    def fault(visit: Visit) -> None:
        answer = visit.forward()
        if next(first) == 0:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        visit.answer(*answer)

    return fault


# --- The proxy --------------------------------------------------------------------------------------------------------


class Proxy:
    """A context manager. `fault` may be changed at any time; `visits` counts the requests that met one other than `passed`."""

    def __init__(self, target_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.target = urlsplit(target_url).netloc
        self.fault: Fault = passed
        self.visits = 0
        self.stopping = threading.Event()
        self._tls = tls
        self._port = 0
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.refuse()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def is_listening(self) -> bool:
        return self._server is not None

    def listen(self) -> None:
        """Listen again on the same port."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self._port), self, self._tls)
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def refuse(self) -> None:
        """Stop listening and close kept-alive connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up_all()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], proxy: Proxy, tls: ssl.SSLContext | None) -> None:
        self.proxy = proxy
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls:
            connection.settimeout(HANDSHAKE_SECONDS)
            # The handshake is made by the first read, in the connection's own thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up_all(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it, which closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Workers that disconnect before the response or die are expected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.server.proxy.fault
        if fault is not passed:
            self.server.proxy.visits += 1
        fault(Visit(self, body))

    def log_message(self, *_: Any) -> None:
        pass
