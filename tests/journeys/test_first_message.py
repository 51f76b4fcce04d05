"""A message from 202 to its final status, and the result of each magic number of the sandbox."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from config.run.environment import BASE_DIR
from providers.simulator.magic_numbers import MAGIC_NUMBERS
from tests.journeys.client import Client
from tests.journeys.stack import Stack

READ_TIMEOUT, HANG_MS = "3", "6000"
FAILS, INVALID, HANGS = "+15005559903", "+15005559902", "+15005559905"
ROUND = timedelta(seconds=2)  # the next one begins some four seconds later
RECEIPTS = sum(len(behaviour.receipts) for behaviour in MAGIC_NUMBERS.values())

TABLE = re.findall(
    r"^\| (\+\d+) \| [^|]+ \| `(\w+)`[^|]* \|$", (BASE_DIR / "docs" / "providers.md").read_text(), re.MULTILINE
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    options = ("--hang-ms", HANG_MS)
    with Stack(workers=2, environment={"PROVIDER_READ_TIMEOUT": READ_TIMEOUT}, sandbox_options=options) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(scope="module")
def magic(client: Client) -> dict[str, dict[str, Any]]:
    """One queued message for each number that a carrier accepts, by number."""
    return {number: client.send(number) for number in MAGIC_NUMBERS if number != FAILS}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_a_message_is_accepted_at_once_and_delivered_within_ten_seconds(client: Client) -> None:
    answer = client.post("messages/", {"to": "+14155550101", "message": "Your code is 123456", "reference": "order-42"})

    accepted = answer.json()
    delivered = client.wait_for(accepted["id"], "delivered", seconds=10)

    assert answer.status_code == 202
    assert answer.headers["Location"] == client.stack.url(f"messages/{accepted['id']}/")
    assert (accepted["status"], accepted["attempts"], accepted["sent_at"]) == ("queued", 0, None)
    assert (delivered["attempts"], delivered["error"], delivered["reference"]) == (1, None, "order-42")
    assert moment(delivered["created_at"]) <= moment(delivered["sent_at"]) <= moment(delivered["delivered_at"])


def test_a_body_without_a_length_and_with_an_odd_charset_is_read(client: Client) -> None:
    session, address = client.stack.session, client.stack.url("messages/")
    pieces = (b'{"to": "+14155550101", ', b'"message": "In pieces"}')

    answer = session.post(
        address, data=iter(pieces), headers={"Content-Type": "application/json; charset=hex"}, timeout=30
    )

    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    assert (answer.status_code, answer.json()["message"]) == (202, "In pieces")


def test_history_and_attempts_show_how_it_was_delivered(client: Client) -> None:
    message_id = client.send("+14155550102")["id"]

    message = client.wait_for(message_id, "delivered")
    events, attempts = client.events(message_id), client.attempts(message_id)

    assert [(event["from"], event["to"], event["source"]) for event in events] == [
        (None, "queued", "api"),
        ("queued", "sending", "dispatch"),
        ("sending", "sent", "dispatch"),
        ("sent", "delivered", "receipt"),
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert [(attempt["number"], attempt["outcome"], attempt["error"]) for attempt in attempts] == [
        (1, "accepted", None)
    ]
    assert attempts[0]["provider"] == message["provider"] in {"sandbox1", "sandbox2"}
    [call] = [entry for entry in client.stack.sandbox_log()["accepted"] if entry["reference"] == message_id]
    assert (call["message_id"], call["to"]) == (message["provider_message_id"], "+14155550102")


def test_the_table_of_the_documentation_is_complete() -> None:
    assert [number for number, _ in TABLE] == list(MAGIC_NUMBERS)


@pytest.mark.parametrize(("number", "status"), [(number, status) for number, status in TABLE if number != FAILS])
def test_each_magic_number_ends_as_documented(
    client: Client, magic: dict[str, dict[str, Any]], number: str, status: str
) -> None:
    client.wait_for(magic[number]["id"], status)

    # Also after all further receipts: a second one, a stale one.
    client.stack.wait_until(lambda: client.stack.receipts_posted() >= RECEIPTS)

    assert client.message(magic[number]["id"])["status"] == status
    assert client.steps(magic[number]["id"]).count(status) == 1


def test_a_message_refused_by_both_carriers_waits_for_the_next_round(
    client: Client,
) -> None:
    message_id = client.send(FAILS)["id"]

    client.stack.wait_until(lambda: "queued" in client.steps(message_id)[1:], pause=0.05)
    message = client.message(message_id)  # the second round begins four seconds later
    attempts = client.attempts(message_id)

    # It fails for good after the sixth round, some 43 minutes later.
    assert (message["status"], message["attempts"]) == ("queued", 2)
    assert message["error"]["code"] == "provider_unavailable"
    assert message["error"]["detail"].startswith("the provider answered 500. Next attempt at 20")
    assert [attempt["outcome"] for attempt in attempts] == ["unavailable", "unavailable"]
    assert {attempt["provider"] for attempt in attempts} == {"sandbox1", "sandbox2"}
    assert moment(attempts[1]["started_at"]) < moment(attempts[0]["finished_at"]) + ROUND
    assert client.steps(message_id) == ["queued", "sending", "queued"]


def test_after_one_refusal_the_other_carrier_is_used(client: Client, magic: dict[str, dict[str, Any]]) -> None:
    message = client.wait_for(magic["+15005559904"]["id"], "delivered")
    attempts = client.attempts(message["id"])

    assert [attempt["outcome"] for attempt in attempts] == ["unavailable", "accepted"]
    assert attempts[0]["provider"] != attempts[1]["provider"] == message["provider"]
    assert client.steps(message["id"]) == ["queued", "sending", "sent", "delivered"]


def test_a_call_without_a_response_is_unknown_and_not_repeated(
    client: Client, magic: dict[str, dict[str, Any]]
) -> None:
    message = client.wait_for(magic[HANGS]["id"], "unknown")

    [attempt] = client.attempts(message["id"])

    assert (attempt["outcome"], message["error"]["detail"]) == ("unknown", "no complete response in time")
    calls = [entry["reference"] for entry in client.stack.sandbox_log()["accepted"]]
    assert calls.count(message["id"]) == 1


def test_an_invalid_number_becomes_inactive_and_the_next_message_to_it_is_refused(
    client: Client, magic: dict[str, dict[str, Any]]
) -> None:
    message = client.wait_for(magic[INVALID]["id"], "undelivered")

    again = client.post("messages/", {"to": INVALID, "message": "Once more"})

    assert message["error"]["code"] == "recipient_invalid"
    number = client.get(f"phone-numbers/{INVALID}/")
    assert (number["status"], number["reason"]) == ("inactive", f"{message['provider']}: recipient_invalid")
    assert (again.status_code, again.json()["code"]) == (409, "recipient_inactive")
    assert client.get("messages/", to=INVALID)["count"] == 1
