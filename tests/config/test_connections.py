"""The TCP connections that the server does not expose."""

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest

from config import connections
from config.handler import KERNEL_SECONDS
from config.live import LiveApplication


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def scope_of(client: socket.socket) -> dict:
    return {"client": client.getsockname(), "server": client.getpeername()}


def test_the_connection_of_a_request_is_closed_and_no_other(listener: socket.socket) -> None:
    clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    accepted = [listener.accept()[0] for _ in clients]

    assert connections.cut(scope_of(clients[1]))

    assert clients[1].recv(1) == b""
    for client, server in zip(clients[::2], accepted[::2], strict=True):
        server.sendall(b"x")
        assert client.recv(1) == b"x"
    for each in (*clients, *accepted):
        each.close()


@pytest.mark.parametrize(
    "scope", [{}, {"client": None, "server": None}, {"client": ("127.0.0.1", 1), "server": ("::", 2)}]
)
def test_a_connection_that_does_not_exist_is_not_found(scope: dict) -> None:
    assert not connections.cut(scope)


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
def test_the_kernel_disconnects_clients_that_read_nothing(listener: socket.socket) -> None:
    """Otherwise the server would keep a partly written response as long as the client stays."""

    async def django(*_: object) -> None:
        pass

    asyncio.run(LiveApplication(django)({"type": "http", "path": "/"}, None, None))

    with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == KERNEL_SECONDS * 1000
