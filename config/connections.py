"""The TCP connections of this process. The server does not expose them, so they are found among the open files."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def cut(scope: dict[str, Any]) -> bool:
    """Close the connection of a request, so that its client does not mistake a partial response for a complete one.

    Returns False if the connection was not found, for example because it is already closed.
    """
    if not scope.get("server") or not scope.get("client"):
        return False
    port, client = scope["server"][1], tuple(scope["client"])  # the server's address may be a wildcard
    for each in _tcp_sockets():
        with contextlib.suppress(OSError):  # not connected
            if each.getsockname()[1] == port and each.getpeername()[:2] == client:
                each.shutdown(socket.SHUT_RDWR)
                return True
    return False


def limit_unread_time(seconds: float) -> None:
    """Let the kernel close connections whose client has not read sent data for this long. Linux only.

    Applies to connections accepted after this call: they inherit the option from the listening socket.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    for each in _tcp_sockets():
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def _tcp_sockets() -> Iterator[socket.socket]:
    """Yield duplicates, because the server may close its descriptors at any time. Each is closed before the next one."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError), _duplicate(int(path.name)) as found:
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM:
                yield found


def _duplicate(number: int) -> socket.socket:
    """Raises `OSError` if the descriptor is closed or is not a socket."""
    copy = os.dup(number)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
