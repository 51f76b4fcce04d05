"""A TCP relay that breaks connections after a given number of bytes, in the middle of anything."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LINGER_NOT = struct.pack("ii", 1, 0)
UNTIL_ASKED_SECONDS = 0.1


def reset(connection: socket.socket) -> None:
    """Close it so that the other side gets an error and not an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    connection.close()


class Relay:
    """A context manager. `bytes_of_next` says for each connection after how many bytes of the server it breaks.

    `passed` counts the bytes of the server, `broken` the connections that came to their end.
    `hold` lets nothing more pass on the connections that are open, and leaves them open: their server hangs.
    """

    def __init__(self, target_url: str, bytes_of_next: Callable[[], int], *, port: int = 0) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname, target.port)
        self._bytes_of_next = bytes_of_next
        self._port = port
        self._held: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.passed = 0
        self.broken = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._listener.settimeout(UNTIL_ASKED_SECONDS)
        self.address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in list(self._threads):
            thread.join(10)
        self._listener.close()

    def hold(self) -> None:
        self._held |= self._open

    def _start(self, act: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=act, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._start(self._pass_on, client, self._bytes_of_next())

    def _pass_on(self, client: socket.socket, left: int) -> None:
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            reset(client)
            return
        other = {client: server, server: client}
        self._open.add(client)
        with contextlib.suppress(OSError):
            while left > 0 and not self._stopping.is_set():
                for ready in select.select(list(other), [], [], UNTIL_ASKED_SECONDS)[0]:
                    if client in self._held:
                        self._stopping.wait()
                        left = 0
                        break
                    data = ready.recv(left if ready is server else 65_536)
                    if not data:
                        left = 0
                        break
                    other[ready].sendall(data)
                    if ready is server:
                        left -= len(data)
                        self.passed += len(data)
        self.broken += 1
        reset(server)
        reset(client)
