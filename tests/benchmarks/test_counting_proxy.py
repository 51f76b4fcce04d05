import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from benchmarks.counting_proxy import CountingProxy, StatementReader


def message(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(part + b"\0" for part in parts)
    return kind + struct.pack(">I", len(body) + 4) + body


STARTUP = message(b"", b"\0\3\0", b"user", b"someone", b"")
SENT = b"".join(
    (
        STARTUP,
        message(b"Q", b"BEGIN"),
        message(b"Q", b"SELECT 1"),
        message(b"P", b"kept", b"INSERT INTO t VALUES ($1)"),
        message(b"B", b"", b"kept"),
        message(b"B", b"", b"kept"),
        message(b"P", b"", b"savepoint s"),
        message(b"B", b"", b""),
        message(b"S"),
        message(b"Q", b"COMMIT"),
    )
)


@pytest.mark.parametrize("size", [1, 7, len(SENT)], ids="bytes={}".format)
def test_statements_are_counted_when_they_run_and_transactions_apart(size: int) -> None:
    counts: Counter[str] = Counter()
    reader = StatementReader(counts)

    for start in range(0, len(SENT), size):
        reader.feed(SENT[start : start + size])

    assert counts == {"statements": 3, "transactions": 3}


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1024):
            if data.endswith(b"!"):
                self.request.sendall(b"answer")


@pytest.fixture
def proxy() -> Iterator[CountingProxy]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with CountingProxy(f"redis://127.0.0.1:{server.server_address[1]}/0") as running:
            yield running
        server.shutdown()


def test_what_is_sent_before_the_answer_is_one_round_trip(proxy: CountingProxy) -> None:
    host, port = proxy.url.removeprefix("redis://").removesuffix("/0").split(":")

    with socket.create_connection((host, int(port)), timeout=5) as client:
        for request in (b"first", b"second!", b"third!"):
            client.sendall(request)
            if request.endswith(b"!"):
                assert client.recv(1024) == b"answer"

    assert proxy.counts == {"round_trips": 2}
