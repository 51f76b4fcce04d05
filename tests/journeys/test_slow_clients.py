"""Clients that send half a request and wait do not affect others, in the server that every installation runs."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.journeys.client import Client
from tests.journeys.stack import Stack

CONNECTIONS = 200
HEADERS = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}\r\n"
BODY = b'{"to": "+14155550177", "message": "Sent slowly"}'
HALVES = {
    "nothing": b"",
    "half of the headers": HEADERS.format(path="/api/v1/messages/", more="")[:40].encode(),
    "half of a receipt": HEADERS.format(path="/webhooks/sandbox1/status/", more="Content-Length: 90\r\n").encode()
    + b"{",
    "a chunk": HEADERS.format(path="/api/v1/messages/", more="Transfer-Encoding: chunked\r\n").encode() + b"1\r\n{\r\n",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # Some tests send more requests in a second than a token may.
    with Stack(web_workers=1, environment={"RATE_LIMIT_PER_TOKEN": "1000/s"}) as running:
        yield running


@contextlib.contextmanager
def connections(stack: Stack, sent: bytes) -> Iterator[list[socket.socket]]:
    address = urlsplit(stack.base_url)
    with contextlib.ExitStack() as held:
        sockets = [
            held.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(CONNECTIONS)
        ]
        for each in sockets:
            each.settimeout(60)
            each.sendall(sent)
        yield sockets


@pytest.mark.parametrize("half", HALVES)
def test_other_requests_are_answered_meanwhile(stack: Stack, half: str) -> None:
    client = Client(stack)

    with connections(stack, HALVES[half]):
        assert requests.get(f"{stack.base_url}/healthz", timeout=10).status_code == 200
        message = client.send("+14155550178")
        client.wait_for(message["id"], "delivered")  # by the receipt, which arrives over the same server


def test_a_steady_slow_upload_is_stored(stack: Stack) -> None:
    client = Client(stack)
    token = client.session.headers["Authorization"]
    more = f"Content-Length: {len(BODY)}\r\nAuthorization: {token}\r\nConnection: close\r\n"
    head, tail = BODY[:10], BODY[10:]

    with connections(stack, HEADERS.format(path="/api/v1/messages/", more=more).encode() + head) as sockets:
        client.send("+14155550179")
        for each in sockets:
            each.sendall(tail)
        answers = [each.makefile("rb").readline() for each in sockets]

    assert answers == [b"HTTP/1.1 202 Accepted\r\n"] * CONNECTIONS


def memory(stack: Stack) -> int:
    """Resident memory of the web processes in bytes."""
    [web] = [child for child in stack._others if child.name == "web"]
    done = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    family = {web.pid}
    while more := {pid for pid, parent, _ in rows if parent in family} - family:
        family |= more
    return sum(rss for pid, _, rss in rows if pid in family) * 1024


def test_bodies_with_very_many_values_leak_no_memory(stack: Stack) -> None:
    client = Client(stack)
    url, headers = stack.url("messages/"), {"Content-Type": "application/json"}
    before = memory(stack)

    for body in (
        b'{"to": [' + b"[]," * 3_000_000 + b"[]]}",
        b"{" + b",".join(b'"k%d":1' % i for i in range(850_000)) + b"}",
    ):
        answers = [client.session.post(url, data=body, headers=headers, timeout=60) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {400}

    assert memory(stack) - before < 64 * 1024 * 1024
