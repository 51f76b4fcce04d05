"""The receiver of docs/callbacks.md with real processes: it verifies every event of endpoints and callback_urls."""

import functools
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from config.run.environment import BASE_DIR
from config.run.services import free_port
from tests.journeys.client import Client, numbers
from tests.journeys.stack import Stack


class DocumentedReceiver:
    """The documented Python code in its own process; `events` are the lines it prints."""

    def __init__(self, folder: Path, port: int) -> None:
        [code] = re.findall(r"```python\n(.*?)```", (BASE_DIR / "docs/callbacks.md").read_text(), re.DOTALL)
        self._file = folder / "receiver.py"
        self._file.write_text(code)
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hook"
        self.events: list[tuple[str, str, int, str]] = []

    def start(self, secret: str) -> Self:
        environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(self.port)}
        self._process = subprocess.Popen(
            [sys.executable, self._file], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()
        self._process.stderr.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            webhook_id, event_type, sequence, subject = line.split()
            self.events.append((webhook_id, event_type, int(sequence), subject))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(workers=2, environment={"CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


def test_a_receiver_verifies_every_event(stack: Stack, client: Client, tmp_path: Path) -> None:
    receiver = DocumentedReceiver(tmp_path, free_port())
    made = client.post("webhook-endpoints/", {"url": receiver.url}).json()
    receiver.start(made["secret"])
    try:
        ids = client.send_batch(numbers(25))
        client.wait_until_none_is(("queued", "sending", "sent"))

        stack.wait_until(lambda: len(receiver.events) >= 50)
    finally:
        receiver.stop()

    assert Counter((event_type, subject) for _, event_type, _, subject in receiver.events) == {
        (event_type, message_id): 1 for message_id in ids for event_type in ("message.sent", "message.delivered")
    }
    assert len({webhook_id for webhook_id, *_ in receiver.events}) == 50
    order = {(event_type, subject): sequence for _, event_type, sequence, subject in receiver.events}
    assert all(order["message.sent", message_id] < order["message.delivered", message_id] for message_id in ids)
    deliveries = functools.partial(client.get, f"webhook-endpoints/{made['id']}/deliveries/", limit=1)
    # The receiver has an event shortly before the worker saves the result.
    stack.wait_until(lambda: deliveries(status="succeeded")["count"] == 50)
    assert deliveries()["count"] == 50


def test_a_callback_url_is_verified_with_the_default_secret(stack: Stack, client: Client, tmp_path: Path) -> None:
    receiver = DocumentedReceiver(tmp_path, free_port())
    secret = client.post("webhook-endpoints/default-secret/rotate/", {}).json()["secret"]
    receiver.start(secret)
    try:
        message = client.send("+14155550771", callback_url=receiver.url)
        client.send("+14155550772")

        stack.wait_until(lambda: len(receiver.events) >= 2)
    finally:
        receiver.stop()

    received = sorted((event_type, subject) for _, event_type, _, subject in receiver.events)
    assert received == [("message.delivered", message["id"]), ("message.sent", message["id"])]


def test_undelivered_events_are_delivered_on_request(stack: Stack, client: Client, tmp_path: Path) -> None:
    # A receipt for the message of an earlier test would be an event of this endpoint too.
    client.wait_until_none_is(("queued", "sending", "sent"))
    receiver = DocumentedReceiver(tmp_path, free_port())
    made = client.post("webhook-endpoints/", {"url": receiver.url, "events": ["message.delivered"]}).json()
    path = f"webhook-endpoints/{made['id']}"
    message = client.send("+14155550773")

    def was_tried() -> bool:
        rows = client.get(f"{path}/deliveries/", status="pending")["results"]
        return bool(rows) and rows[0]["attempts"] > 0

    stack.wait_until(was_tried)
    [waiting] = client.get(f"{path}/deliveries/")["results"]
    # While the receiver is down, each try fails at once, so none stays in flight.
    span = {"since": message["created_at"], "until": "2099-01-01T00:00:00Z"}
    answer = {"redelivered": 1, "is_complete": True}
    stack.wait_until(lambda: client.post(f"{path}/redeliver/", span).json() == answer)
    receiver.start(made["secret"])
    try:
        client.post(f"{path}/redeliver/", span)
        stack.wait_until(lambda: len(receiver.events) >= 1)
    finally:
        receiver.stop()

    assert waiting["error"] == "Not delivered: the connection was refused."
    assert {(webhook_id, subject) for webhook_id, _, _, subject in receiver.events} == {
        (waiting["webhook_id"], message["id"])
    }
    assert client.session.delete(stack.url(f"{path}/"), timeout=30).status_code == 204


def test_no_log_contains_a_secret(stack: Stack) -> None:
    assert "whsec_" not in stack.logs()
    assert "Traceback" not in stack.logs()
