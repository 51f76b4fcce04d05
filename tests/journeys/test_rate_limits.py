"""An account accepts ten segments per second: four worker processes together never exceed it, and others do not wait for it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from messaging.services.reporting.heartbeats import WORKERS_KEY
from tests.journeys.client import Client, numbers
from tests.journeys.stack import Stack

WORKERS = 4
PER_SECOND = 10
# Tolerance for varying latency. Four workers without a shared limit would send forty.
ON_THE_WAY = 1
# The bulk takes at least half a minute; this many of its calls are checked.
BULK, ENOUGH, SINGLE = 300, 80, 5
AMERICAN, BRITISH = "+1415200", "+44207946"

SET_UP = """
import json
from providers.services import upsert_account
for account in json.loads({accounts!r}):
    upsert_account(backend="generic_http", **account)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    options = ("--latency-ms", "0", "--latency-jitter-ms", "0", "--receipt-delay-ms", "0")
    with Stack(workers=WORKERS, sandbox_options=options) as running:
        with redis.Redis.from_url(running.environment["REDIS_URL"]) as broker:
            running.wait_until(lambda: broker.zcard(WORKERS_KEY) == WORKERS)
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    accounts = [
        {"slug": "sandbox1", "config": _config(stack, "provider1", AMERICAN[:2], max_per_second=PER_SECOND)},
        {"slug": "sandbox2", "config": _config(stack, "provider2", BRITISH[:3])},
    ]
    stack.manage("shell", "--command", SET_UP.format(accounts=json.dumps(accounts)))
    return Client(stack)


def _config(stack: Stack, carrier: str, prefix: str, **more: float) -> dict:
    fields = {"to": "to_number", "message": "message", "callback_url": "callback_url", "id": "reference"}
    return {"url": f"{stack.sandbox_url}/{carrier}", "fields": fields, "allowed_prefixes": [prefix], **more}


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for later in times if first <= later < first + 1) for first in times)


def test_four_workers_keep_one_rate_limit_without_delaying_other_accounts(client: Client) -> None:
    schedule = {
        "name": "Bulk",
        "message": "Hello",
        "run_at": (datetime.now(UTC) + timedelta(seconds=2)).isoformat(),
        "time_zone": "UTC",
        "recipients": numbers(BULK, prefix=AMERICAN),
    }
    assert client.post("schedules/", schedule).status_code == 201
    client.stack.wait_until(lambda: len(client.stack.sandbox_log()["accepted"]) >= PER_SECOND)

    singles = [client.send(to) for to in numbers(SINGLE, prefix=BRITISH)]
    sent = [client.wait_for(message["id"], "delivered") for message in singles]
    waiting = client.count(["queued"])
    client.stack.wait_until(lambda: len(limited(client)) >= ENOUGH, pause=0.2)

    times = limited(client)
    assert most_in_a_second(times) <= PER_SECOND + ON_THE_WAY
    assert times[ENOUGH - 1] - times[0] < 4 * ENOUGH / PER_SECOND, "the account was left idle"
    assert waiting > 0, "the bulk was over before the single messages were sent"
    assert max(seconds_to_send(message) for message in sent) < BULK / PER_SECOND / 2


def limited(client: Client) -> list[float]:
    """The times at which the limited carrier received each call, by its own clock."""
    entries = client.stack.sandbox_log()["accepted"]
    return sorted(entry["at"] for entry in entries if entry["carrier"] == "provider1")


def seconds_to_send(message: dict) -> float:
    created, sent = (datetime.fromisoformat(message[field]) for field in ("created_at", "sent_at"))
    return (sent - created).total_seconds()
