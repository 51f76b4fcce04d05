"""Live streams of real processes over connections that break often."""

import contextlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from config.run.environment import BASE_DIR
from tests.journeys.client import Client, numbers
from tests.journeys.relay import Relay, reset
from tests.journeys.stack import Stack

SECONDS = 120
CUTS = 100
MESSAGES = 120
EVENTS = 2 * MESSAGES
MOST_BYTES = 5_000  # of which the headers are about 700 and an event 950
PATH = "/api/v1/live/events/"
PLACES = 20


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(live=True) as running:
        # No receipt overtakes the response of its call, because then `message.sent` would be missing.
        running.change_sandbox({carrier: {"receipt_delay_ms": 1_500} for carrier in running.sandbox_settings()})
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


class Follower:
    """Keeps only the last event id of a closed connection."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.last_id = ""
        self.events: list[tuple[int, str, str]] = []
        """Number, type and message of each event, in order of arrival."""

    def connect(self, url: str) -> socket.socket:
        parts = urlsplit(url)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)
        resume = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
        # HTTP/1.0: the body comes without the frames of chunked encoding.
        head = f"GET {PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n{resume}\r\n"
        connection.sendall(head.encode())
        return connection

    def read(self, connection: socket.socket, *, until: Callable[[], bool], most: int = 1_000_000) -> str:
        """Read until the condition holds or the byte limit is reached ("enough"), or the stream is "ended" or "silent"."""
        text, has_begun = b"", False
        while most > 0 and not until():
            try:
                data = connection.recv(min(most, 4096))
            except TimeoutError:
                return "silent"
            except ConnectionResetError:
                return "ended"
            if not data:
                return "ended"
            most -= len(data)
            text += data
            if not has_begun and b"\r\n\r\n" in text:
                head, _, text = text.partition(b"\r\n\r\n")
                assert head.split(b" ", 2)[1] == b"200", head + text
                has_begun = True
            while has_begun and b"\n\n" in text:
                block, _, text = text.partition(b"\n\n")
                self._take(block.decode())
        return "enough"

    def _take(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        self.last_id = fields["id"]
        if "data" in fields:
            body = json.loads(fields["data"])
            assert (fields["event"], fields["id"]) == (body["type"], str(body["sequence"]))
            self.events.append((body["sequence"], body["type"], body["data"]["id"]))


def began(stack: Stack, token: str) -> Follower:
    """A follower that has received its starting position."""
    follower = Follower(token)
    with follower.connect(stack.live_url) as first:
        follower.read(first, until=lambda: bool(follower.last_id))
    return follower


def test_after_a_hundred_disconnects_every_event_arrived_once_and_in_order(stack: Stack, client: Client) -> None:
    chance = random.Random(4711)
    follower = began(stack, demo_token(stack))
    ids: list[str] = []
    sending = threading.Thread(target=lambda: ids.extend(client.send(to)["id"] for to in numbers(MESSAGES)))
    sending.start()
    cuts = 0
    deadline = time.monotonic() + SECONDS
    with Relay(stack.live_url, lambda: chance.randrange(MOST_BYTES)) as relay:
        while cuts < CUTS or len(follower.events) < EVENTS:
            assert time.monotonic() < deadline, (cuts, len(follower.events))
            by_the_line, harshly = cuts % 3 == 0, cuts % 3 == 1
            connection = follower.connect(relay.url if by_the_line else stack.live_url)
            connection.settimeout(chance.uniform(0.05, 0.5))
            follower.read(
                connection, until=lambda: False, most=MOST_BYTES if by_the_line else chance.randrange(MOST_BYTES)
            )
            reset(connection) if harshly else connection.close()
            cuts += 1
    sending.join(SECONDS)

    sequences = [sequence for sequence, _, _ in follower.events]
    assert sequences == sorted(set(sequences))
    assert Counter((kind, subject) for _, kind, subject in follower.events) == {
        (kind, message_id): 1 for message_id in ids for kind in ("message.sent", "message.delivered")
    }
    assert len(ids) == MESSAGES
    assert relay.broken >= CUTS // 3


def demo_token(stack: Stack) -> str:
    return (stack.folder / "demo_token").read_text().strip()


def test_a_stopping_server_ends_its_streams_and_they_resume_elsewhere(stack: Stack, client: Client) -> None:
    follower = began(stack, demo_token(stack))
    connection = follower.connect(stack.live_url)
    first = client.send("+14155550781")["id"]
    follower.read(connection, until=lambda: len(follower.events) == 2)

    stack.stop_live()
    assert follower.read(connection, until=lambda: False) == "ended"
    connection.close()
    second = client.send("+14155550782")["id"]
    stack.start_live()
    with follower.connect(stack.live_url) as again:
        follower.read(again, until=lambda: len(follower.events) == 4)

    assert [subject for _, _, subject in follower.events] == [first, first, second, second]


def test_the_stream_limit_is_exact(stack: Stack) -> None:
    token = stack.token("watcher")
    headers = {"Authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as opened:
        followers = [Follower(token) for _ in range(PLACES)]
        connections = [opened.enter_context(follower.connect(stack.live_url)) for follower in followers]
        for follower, connection in zip(followers, connections, strict=True):
            follower.read(connection, until=lambda follower=follower: bool(follower.last_id))

        refused = requests.get(stack.live_url + PATH, headers=headers, timeout=SECONDS)
        for connection in connections[1:6]:
            reset(connection)
        for _ in range(5):
            stack.wait_until(lambda: _opens(stack, headers, opened))

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert refused.headers["Retry-After"] == "5"
        assert refused.headers["Content-Type"] == "application/problem+json"


def _opens(stack: Stack, headers: dict[str, str], opened: contextlib.ExitStack) -> bool:
    answer = opened.enter_context(requests.get(stack.live_url + PATH, headers=headers, timeout=SECONDS, stream=True))
    return answer.status_code == 200


def test_revoking_a_token_ends_its_stream(stack: Stack) -> None:
    follower = Follower(stack.token("leaver"))
    session = stack.new_session(stack.token("leaver"))
    with follower.connect(stack.live_url) as connection:
        follower.read(connection, until=lambda: bool(follower.last_id))
        assert session.post(stack.url("auth/logout/"), timeout=SECONDS).status_code == 204
        assert follower.read(connection, until=lambda: False) == "ended"

    def is_refused() -> bool:
        with session.get(stack.live_url + PATH, timeout=SECONDS, stream=True) as answer:
            return answer.status_code == 401

    stack.wait_until(is_refused)  # a second later in this process, which remembers its tokens so long


def test_a_long_poll_answers_when_the_status_changes(stack: Stack, client: Client) -> None:
    def wait(message_id: str, **query: Any) -> requests.Response:
        address = f"{stack.live_url}/api/v1/live/messages/{message_id}/wait/"
        return client.session.get(address, params=query, timeout=SECONDS)

    message = client.send("+14155550783")
    seen = [message["status"]]
    while seen[-1] != "delivered":
        answer = wait(message["id"], after=seen[-1], timeout=30)
        assert answer.status_code == 200
        assert answer.json()["status"] != seen[-1]
        seen.append(answer.json()["status"])
    last = wait(message["id"], after="delivered", timeout=1)

    assert [status for status in ("queued", "sending", "sent", "delivered") if status in seen] == seen
    assert last.json() == client.message(message["id"])


def test_the_other_web_processes_serve_it_too(stack: Stack, client: Client) -> None:
    follower = began(stack, demo_token(stack))
    with follower.connect(stack.base_url) as connection:
        sent = client.send("+14155550784")["id"]
        follower.read(connection, until=lambda: len(follower.events) == 2)

    assert [subject for _, _, subject in follower.events] == [sent, sent]


def test_the_documented_follower_follows(stack: Stack, client: Client, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (BASE_DIR / "docs/live.md").read_text(), re.DOTALL)
    file = tmp_path / "follower.py"
    file.write_text(code)
    lines: list[list[str]] = []
    # Each line breaks in the middle of an event.
    with Relay(stack.live_url, lambda: 2_300) as relay:
        process = subprocess.Popen(
            [sys.executable, file],
            env={**os.environ, "TOKEN": demo_token(stack), "LIVE_URL": relay.url},
            stdout=subprocess.PIPE,
            text=True,
        )
        reading = threading.Thread(target=lambda: lines.extend(line.split(" ", 2) for line in process.stdout))
        reading.start()
        try:
            stack.wait_until(lambda: relay.passed > 0)
            ids = [client.send(to)["id"] for to in numbers(2, prefix="+1415201")]
            stack.wait_until(lambda: len(lines) >= 4)
        finally:
            process.terminate()
            process.wait(10)
            reading.join(10)
            process.stdout.close()

    received = [(int(number), kind, json.loads(body)["data"]["id"]) for number, kind, body in lines]
    assert [number for number, _, _ in received] == sorted({number for number, _, _ in received})
    assert sorted((kind, subject) for _, kind, subject in received) == sorted(
        (kind, subject) for subject in ids for kind in ("message.sent", "message.delivered")
    )


def test_no_log_contains_a_failure_or_a_token(stack: Stack) -> None:
    logs = stack.logs()

    assert "Traceback" not in logs
    assert demo_token(stack) not in logs
