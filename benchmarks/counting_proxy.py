"""Between a process and PostgreSQL or Redis: it counts what passes, whatever the process does to send it.

`statements` of PostgreSQL are all but BEGIN, COMMIT and the like, which are `transactions`; a prepared statement counts each
time that it is executed. A `round_trip` is anything that a client sends after it was answered: a pipeline is one.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TRANSACTION = (b"BEGIN", b"COMMIT", b"ROLLBACK", b"SAVEPOINT", b"RELEASE")
CHUNK = 65_536


class StatementReader:
    """Reads what one client sends by PostgreSQL's protocol, without TLS."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._buffer = b""
        self._has_started = False
        self._prepared: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while (size := self._size()) and len(self._buffer) >= size:
            message, self._buffer = self._buffer[:size], self._buffer[size:]
            if self._has_started:
                self._read(message[:1], message[5:])
            self._has_started = True

    def _size(self) -> int:
        """The length of the next message, 0 if that is not known yet. The very first one has no letter for its kind."""
        kind = 1 if self._has_started else 0
        if len(self._buffer) < kind + 4:
            return 0
        return kind + int(struct.unpack_from(">I", self._buffer, kind)[0])

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._count(body)
        elif kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._prepared[name] = rest
        elif kind == b"B":
            _, _, rest = body.partition(b"\0")
            self._count(self._prepared.get(rest.partition(b"\0")[0], b""))

    def _count(self, query: bytes) -> None:
        is_transaction = query.lstrip().upper().startswith(TRANSACTION)
        self._counts["transactions" if is_transaction else "statements"] += 1


class CountingProxy:
    """A context manager; `url` is the server's address by way of the proxy."""

    def __init__(self, url: str, reader: Callable[[Counter[str]], StatementReader] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._target, self._reader = urlsplit(url), reader
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        port = self._server.sockets[0].getsockname()[1]
        user, at, _ = self._target.netloc.rpartition("@")
        query = "sslmode=disable&gssencmode=disable" if self._reader else ""
        self.url = self._target._replace(netloc=f"{user}{at}127.0.0.1:{port}", query=query).geturl()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        open_connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in open_connections:
            connection.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
        statements = self._reader(self.counts) if self._reader else None
        was_answered = True

        async def forward() -> None:
            nonlocal was_answered
            while data := await client.read(CHUNK):
                if was_answered:
                    self.counts["round_trips"] += 1
                was_answered = False
                if statements:
                    statements.feed(data)
                to_server.write(data)
            to_server.close()

        async def back() -> None:
            nonlocal was_answered
            while data := await server.read(CHUNK):
                was_answered = True
                to_client.write(data)
            to_client.close()

        try:
            await asyncio.gather(forward(), back(), return_exceptions=True)
        finally:
            for writer in (to_client, to_server):
                writer.transport.abort()


def postgresql(url: str) -> CountingProxy:
    return CountingProxy(url, StatementReader)
