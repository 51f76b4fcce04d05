"""The TCP connections of this process, which the server does not hand out: found among the open files by their addresses."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def cut(scope: dict[str, Any]) -> bool:
    """Close the connection of a request, so that its client does not take the part of a response for the whole.

    Returns False if the connection was not found, for example because it is closed already.
    """
    if not scope.get("server") or not scope.get("client"):
        return False
    port, client = scope["server"][1], tuple(scope["client"])  # the server's address itself may be a wildcard
    for each in _tcp_sockets():
        with contextlib.suppress(OSError):  # not connected
            if each.getsockname()[1] == port and each.getpeername()[:2] == client:
                each.shutdown(socket.SHUT_RDWR)
                return True
    return False


def limit_unread_time(seconds: float) -> None:
    """Let the kernel cut connections whose client takes nothing of what was sent to it for so long. On Linux only.

    Holds for connections accepted after this call: they inherit the option from the listening socket.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    for each in _tcp_sockets():
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def _tcp_sockets() -> Iterator[socket.socket]:
    """A second descriptor of each, closed when the next is asked for: the server may close its own at any time."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError), _duplicate(int(path.name)) as found:
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM:
                yield found


def _duplicate(number: int) -> socket.socket:
    """Raises `OSError` if it is closed by now, or no socket."""
    copy = os.dup(number)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
