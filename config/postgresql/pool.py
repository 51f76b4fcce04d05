"""The PostgreSQL connections of one process, kept open between requests."""

import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from psycopg import Connection, Error, OperationalError, pq

CHECK_SECONDS = 1.0
MAX_IDLE_SECONDS = 600.0
MAX_AGE_SECONDS = 3600.0

Connect = Callable[[], Connection[Any]]


class Pool:
    """At most `max_size` connections at once; `getconn` waits up to `timeout` seconds for one in use by another thread.

    The thread that needs a new connection opens it: a refusal by the server is raised at once, and no thread waits for the
    back-off of a background reconnect. Django requires these method names.
    """

    close_returns = False  # read by psycopg when a connection is closed

    def __init__(self, connect: Connect, *, max_size: int, timeout: float) -> None:
        self._connect = connect
        self._max_size = max_size
        self._timeout = timeout
        self._slots = threading.BoundedSemaphore(max_size)
        self._lock = threading.Lock()  # never held while the network is used
        self._idle: deque[tuple[float, Connection[Any]]] = deque()  # (since when, connection), the longest idle first
        self._closed = False

    def open(self) -> None:
        """Do nothing. Django calls this before `getconn`."""

    def getconn(self) -> Connection[Any]:
        """Return a connection that was just checked or opened. Raises `psycopg.OperationalError`."""
        if not self._slots.acquire(timeout=self._timeout):
            raise OperationalError(f"all {self._max_size} connections of this process are in use")
        try:
            connection = self._take_idle() or self._open_connection()
        except BaseException:
            self._slots.release()
            raise
        # Django returns a connection through this attribute. psycopg declares it for its own pool class.
        connection._pool = self  # type: ignore[assignment]  # noqa: SLF001
        return connection

    def putconn(self, connection: Connection[Any]) -> None:
        """Keep the connection for the next `getconn`, or close it if it is broken, old or inside a transaction."""
        connection._pool = None  # noqa: SLF001
        now = time.monotonic()
        is_clean = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        expired: list[Connection[Any]] = []
        with self._lock:
            if is_clean and not self._closed and now < connection._expire_at:  # noqa: SLF001 (psycopg declares it for pools)
                self._idle.append((now, connection))
            else:
                expired.append(connection)
            while self._idle and self._idle[0][0] < now - MAX_IDLE_SECONDS:
                expired.append(self._idle.popleft()[1])
        self._slots.release()
        for each in expired:
            each.close()

    def close(self) -> None:
        """Close idle connections now, and the others when they are returned."""
        self._closed = True
        self._close_idle()

    def _take_idle(self) -> Connection[Any] | None:
        with self._lock:
            connection = self._idle.pop()[1] if self._idle else None
        if connection is None or is_alive(connection):
            return connection
        connection.close()
        self._close_idle()  # a restart or failover cuts all connections, so the others are not checked one by one
        return None

    def _close_idle(self) -> None:
        with self._lock:
            connections = [connection for _, connection in self._idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def _open_connection(self) -> Connection[Any]:
        connection = self._connect()
        connection._expire_at = time.monotonic() + MAX_AGE_SECONDS  # noqa: SLF001
        return connection


def is_alive(connection: Connection[Any], seconds: float = CHECK_SECONDS) -> bool:
    """Return True if the server responds to an empty query in time. If not, the connection must be closed."""
    libpq = connection.pgconn
    deadline = time.monotonic() + seconds
    answered = False
    try:
        libpq.send_query(b"")
        with selectors.DefaultSelector() as selector:
            selector.register(libpq.socket, selectors.EVENT_READ)
            while True:
                while libpq.is_busy():
                    if not selector.select(max(0.0, deadline - time.monotonic())):
                        return False
                    libpq.consume_input()
                result = libpq.get_result()
                if result is None:
                    return answered
                answered = result.status == pq.ExecStatus.EMPTY_QUERY
    except Error:
        return False
