"""The output of the processes: no warnings in normal operation, and never private data."""

import json
import re
from collections.abc import Iterator

import pytest
import requests

from config.run import services
from providers.simulator.magic_numbers import MAGIC_NUMBERS
from tests.journeys.client import ON_THE_WAY, Client, numbers
from tests.journeys.stack import Stack

ALARMING = re.compile(r"warning|error|critical|traceback|exception|deprecat", re.IGNORECASE)
# A stopping worker returns the task it has just received to the broker, which kombu logs.
HANDED_BACK = "Requeuing undeliverable message for queue 'celery': No consumers."
TEXT = "Nobody-else-may-read-this 271828"
PROVIDER_KEY = "key-of-a-dead-provider-31415"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    environment = {
        "PROVIDER_CONNECT_TIMEOUT": "1",
        "PROVIDER_READ_TIMEOUT": "3",
        "CLAIM_LEASE_SECONDS": "6",
        "PROVIDER_DEAD_KEY": PROVIDER_KEY,
        "PYTHONWARNINGS": "default",
    }
    with Stack(workers=2, environment=environment, sandbox_options=("--hang-ms", "6000")) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(scope="module")
def calm(client: Client) -> str:
    """The logs after a start, all kinds of requests, and the stop of one worker."""
    stack = client.stack
    client.send_batch(numbers(30))
    client.send("+14155550401", TEXT, reference="private")
    answers = [
        client.post("messages/", {"to": "+14155550402", "message": TEXT}, Idempotency_Key="calm"),
        client.post("messages/", {"to": "+14155550402", "message": TEXT}, Idempotency_Key="calm"),
        client.post("messages/", {"to": "nobody", "message": TEXT}),
        client.post("messages/", {"to": "+14155550403", "message": TEXT, "send_at": "9999-12-31T23:59:59Z"}),
        client.session.get(stack.url("messages/00000000-0000-7000-8000-000000000000/"), timeout=30),
        client.session.get(stack.url("messages/?search=%2B1415"), timeout=30),
        requests.get(stack.url("messages/"), timeout=30),
        requests.get(stack.url("messages/"), headers={"Authorization": "Bearer nonsense"}, timeout=30),
        requests.get(stack.url("/api/schema/"), timeout=30),
        requests.get(stack.url("/api/docs/"), timeout=30),
        requests.get(stack.url("/admin/login/"), timeout=30),
        requests.post(stack.url("auth/token/"), auth=("admin", "a wrong password"), timeout=30),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 400, 400, 404, 200, 401, 401, 200, 200, 200, 401]
    client.wait_until_none_is(ON_THE_WAY)
    stack.stop_worker(1)
    return stack.logs()


@pytest.fixture(scope="module")
def troubled(client: Client, calm: str) -> str:
    """The same after all kinds of provider faults, forged receipts, and a killed worker."""
    stack = client.stack
    dead = {
        "url": f"http://127.0.0.1:{services.free_port()}/?key={'x' * 8}",
        "headers": {"X-Key": {"env": "PROVIDER_DEAD_KEY"}},
    }
    stack.manage(
        "upsert_provider", "dead", "--backend", "generic_http", "--weight", "1000", "--config", json.dumps(dead)
    )
    for number in MAGIC_NUMBERS:
        client.send(number, TEXT)
    for body in (f'{{"status": "{TEXT}"}}', TEXT, f'{{"message_id": "{TEXT}", "status": "{TEXT}"}}'):
        requests.post(stack.url("/webhooks/sandbox1/status/?token=forged"), data=body, timeout=30)
    client.send_batch(numbers(200, prefix="+1415300"))
    stack.wait_until(lambda: client.count(["sent", "delivered"]) > 80, pause=0.02)
    stack.kill_worker(0)
    stack.start_worker()
    client.wait_until_none_is(["sending"])
    return stack.logs()


def alarming(logs: str) -> list[str]:
    return [line for line in logs.splitlines() if ALARMING.search(line) and not line.endswith(HANDED_BACK)]


def test_normal_operation_logs_no_warning(calm: str) -> None:
    assert alarming(calm) == []


def test_problems_are_logged(troubled: str) -> None:
    assert alarming(troubled) != []


def test_no_private_data_is_logged(client: Client, stack: Stack, troubled: str) -> None:
    messages = client.messages().values()
    private = {
        "text": {TEXT, *(message["message"] for message in messages)},
        "number": {number.removeprefix("+") for message in messages for number in (message["to"], message["from"])},
        "token": {client.session.headers["Authorization"].removeprefix("Bearer "), "token="},
        "secret": {
            stack.environment["SECRET_KEY"],
            PROVIDER_KEY,
            (stack.folder / "admin_password").read_text().strip(),
        },
    }

    printed = [kind for kind, values in private.items() if any(value in troubled for value in values)]

    assert len(messages) > 200
    assert printed == []
