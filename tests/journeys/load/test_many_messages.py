"""Many messages from many concurrent clients: each is sent once, and the load is shared as configured.

`MANY_MESSAGES=2000` sends the promised number.
"""

import functools
import os
from collections import Counter
from typing import Any

import pytest

from tests.journeys.client import ON_THE_WAY, Client, in_parallel, numbers, statuses

CLIENTS, MESSAGES = 8, int(os.environ.get("MANY_MESSAGES", "1000"))
FEWER = 300
SECONDS = 150


def send_each(client: Client, recipients: list[str], reference: str) -> list[str]:
    return [client.send(to, reference=reference)["id"] for to in recipients]


def calls_since(client: Client, index: int) -> dict[str, list[dict[str, Any]]]:
    return client.stack.sandbox_log(index)


@pytest.mark.timeout(600)  # took two minutes on two busy cores
def test_messages_of_eight_clients_are_delivered_once_each_and_shared_30_to_70(client: Client) -> None:
    client.wait_until_none_is(ON_THE_WAY, seconds=SECONDS)  # from earlier journeys
    recipients, before = numbers(MESSAGES), client.stack.sandbox_log()["next"]

    shares = [recipients[number::CLIENTS] for number in range(CLIENTS)]
    sending = [functools.partial(send_each, client, share, "many") for share in shares]
    ids = {message_id for sent in in_parallel(sending, threads=CLIENTS) for message_id in sent}
    client.wait_until_none_is(ON_THE_WAY, seconds=SECONDS)

    messages = {pk: message for pk, message in client.messages().items() if message["reference"] == "many"}
    assert messages.keys() == ids
    assert len(ids) == MESSAGES
    assert statuses(messages.values()) == {"delivered": MESSAGES}
    log = calls_since(client, before)
    assert Counter(entry["reference"] for entry in log["accepted"]) == dict.fromkeys(ids, 1)
    assert log["refused"] == []
    by_carrier = Counter(entry["carrier"] for entry in log["accepted"])
    assert by_carrier["provider1"] / MESSAGES == pytest.approx(0.30, abs=0.03)
    assert by_carrier["provider2"] / MESSAGES == pytest.approx(0.70, abs=0.03)
    assert Counter(message["provider"] for message in messages.values()) == {
        "sandbox1": by_carrier["provider1"],
        "sandbox2": by_carrier["provider2"],
    }


@pytest.mark.parametrize(
    ("broken", "healthy", "healthy_account"),
    [("provider1", "provider2", "sandbox2"), ("provider2", "provider1", "sandbox1")],
)
def test_while_one_carrier_refuses_everything_the_other_delivers_all(
    client: Client, broken: str, healthy: str, healthy_account: str
) -> None:
    before, operator = client.stack.sandbox_log()["next"], Client(client.stack, "boss")
    client.stack.change_sandbox({broken: {"failure_rate": 1.0}})
    try:
        ids = set(client.send_batch(numbers(FEWER, prefix="+1415300"), reference=broken))
        client.wait_until_none_is(ON_THE_WAY, seconds=SECONDS)
    finally:
        client.stack.change_sandbox({broken: {"failure_rate": 0.0}})
        closed = operator.post(f"providers/sandbox{broken[-1]}/reset/", {"reason": "mended"})
    assert closed.status_code == 200, closed.text

    messages = {pk: message for pk, message in client.messages().items() if message["reference"] == broken}
    assert messages.keys() == ids
    assert statuses(messages.values()) == {"delivered": FEWER}
    assert {message["provider"] for message in messages.values()} == {healthy_account}
    log = calls_since(client, before)
    assert Counter(entry["reference"] for entry in log["accepted"]) == dict.fromkeys(ids, 1)
    assert {entry["carrier"] for entry in log["accepted"]} == {healthy}
    assert {entry["carrier"] for entry in log["refused"]} == {broken}
    # In the first round: no message waited for a second one.
    assert max(message["attempts"] for message in messages.values()) == 2
