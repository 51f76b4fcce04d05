"""The supervisor's own requests, without a client library."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.run import probes
from config.run.services import free_port


@contextmanager
def server(*replies: bytes) -> Iterator[int]:
    """Sends one reply to each connection, in two parts, and closes it. Yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(reply[:10])
                    connection.sendall(reply[10:])

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_a_response_is_read_to_its_end() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\nready", b"HTTP/1.1 503 Away\r\nA: b\r\n\r\nno\r\n\r\nbroker") as port:
        good, bad = (probes.get(port, "/readyz", seconds=5) for _ in range(2))

    assert (good.ok, good.body) == (True, b"ready")
    assert (bad.ok, bad.status, bad.body) == (False, 503, b"no\r\n\r\nbroker")


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nA:", b"HTTP/1.1\r\n\r\n"])
def test_anything_else_is_an_error(reply: bytes) -> None:
    with server(reply) as port, pytest.raises(OSError, match="no HTTP response"):
        probes.get(port, "/readyz", seconds=5)


def test_a_closed_port_is_an_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011 (any of them: the caller tries again)
        probes.get(free_port(), "/readyz", seconds=1)


@pytest.mark.parametrize(("reply", "expected"), [(b"+OK\r\n+PONG\r\n+OK\r\n", True), (b"+OK\r\n-LOADING\r\n", False)])
def test_a_broker_answers_when_it_has_loaded_its_data(reply: bytes, expected: bool) -> None:
    with server(reply) as port:
        assert probes.redis_answers(f"redis://:secret@127.0.0.1:{port}/0") is expected
