"""Requests of the supervisor to its own processes on loopback, without the client libraries, which would double its memory."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status <= 299  # noqa: PLR2004


def get(port: int, path: str, *, seconds: float) -> Response:
    """The response of the web server. Raises `OSError`, also if it is no whole HTTP response; `seconds` limit each step."""
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    head, end, body = _exchange(port, request.encode(), seconds).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not end or not status or not status[0].isdigit():
        raise OSError("no HTTP response")
    return Response(int(status[0]), body)


def redis_answers(url: str, *, seconds: float = 1.0) -> bool:
    """Whether the server has loaded its data. Raises `OSError` if it cannot be reached. The password has no white space."""
    parts = urlsplit(url)
    commands = f"AUTH {parts.password}\r\nPING\r\nQUIT\r\n"
    return b"+PONG" in _exchange(parts.port or 0, commands.encode(), seconds)


def _exchange(port: int, request: bytes, seconds: float) -> bytes:
    received = []
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        while part := connection.recv(65_536):
            received.append(part)
    return b"".join(received)
