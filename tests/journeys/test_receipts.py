"""Receipts as carriers post them: early, twice, out of order, for unknown messages, and with invalid tokens."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from providers import callback_tokens
from tests.journeys.carrier import Answer, Carrier, ReceivedCall, post_receipt
from tests.journeys.client import Client, Message, in_parallel
from tests.journeys.stack import Stack

READ_TIMEOUT = 3


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    with Carrier() as playing:
        yield playing


@pytest.fixture(scope="module")
def stack(carrier: Carrier) -> Iterator[Stack]:
    environment = {"PROVIDER_READ_TIMEOUT": str(READ_TIMEOUT)}
    with Stack(environment=environment, carriers_url=carrier.url) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture(autouse=True)
def _plain_answers(carrier: Carrier) -> Iterator[None]:
    yield
    carrier.answer = carrier.accept


@pytest.fixture
def sent(client: Client, carrier: Carrier) -> Callable[[str], tuple[Message, str]]:
    """Sends to a number; returns the message once it is `sent`, and its callback URL."""

    def send(to: str) -> tuple[Message, str]:
        message = client.wait_for(client.send(to)["id"], "sent")
        return message, call_for(carrier, message["id"]).content["callback_url"]

    return send


def call_for(carrier: Carrier, message_id: str) -> ReceivedCall:
    [call] = [call for call in carrier.calls if call.content["reference"] == message_id]
    return call


def result(answer: requests.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("result")


def test_a_receipt_before_the_response_counts(client: Client, carrier: Carrier) -> None:
    receipts: list[requests.Response] = []

    def receipt_first(call: ReceivedCall) -> Answer:
        status, body = carrier.accept(call)
        receipts.append(post_receipt(call.content["callback_url"], body["message_id"], "delivered"))
        return status, body

    carrier.answer = receipt_first
    message_id = client.send("+14155550201")["id"]
    client.wait_for(message_id, "delivered")
    client.stack.wait_until(lambda: client.attempts(message_id)[0]["outcome"] == "accepted")

    assert [receipt.status_code for receipt in receipts] == [200]
    assert client.steps(message_id) == ["queued", "sending", "delivered"]
    message = client.message(message_id)
    assert message["status"] == "delivered"
    assert message["provider_message_id"].startswith("carrier-")
    assert message["sent_at"] <= message["delivered_at"]


def test_a_repeated_receipt_counts_once(client: Client, sent: Callable) -> None:
    message, url = sent("+14155550202")

    def post() -> tuple[int, Any]:
        return result(post_receipt(url, message["provider_message_id"], "delivered"))

    answers = in_parallel([post] * 12, threads=12)
    answers += [post(), post()]

    assert answers == [(200, "applied")] * 14
    assert client.steps(message["id"]) == ["queued", "sending", "sent", "delivered"]


def test_failed_after_delivered_changes_nothing(client: Client, sent: Callable) -> None:
    message, url = sent("+14155550203")

    for word in ("delivered", "failed", "invalid"):
        assert post_receipt(url, message["provider_message_id"], word).status_code == 200

    after = client.message(message["id"])
    assert (after["status"], after["error"]) == ("delivered", None)
    assert client.get(f"phone-numbers/{message['to']}/")["status"] == "active"
    assert client.send(message["to"])["status"] == "queued"


def test_delivered_after_failed_is_delivered(client: Client, sent: Callable) -> None:
    message, url = sent("+14155550204")

    for word in ("failed", "delivered"):
        assert post_receipt(url, message["provider_message_id"], word).status_code == 200

    after = client.message(message["id"])
    assert (after["status"], after["error"]) == ("delivered", None)
    assert after["delivered_at"] is not None
    assert client.steps(message["id"]) == ["queued", "sending", "sent", "undelivered", "delivered"]


def test_a_receipt_for_an_unknown_id_is_kept_and_counts_when_the_id_becomes_known(
    client: Client, carrier: Carrier
) -> None:
    receipts: list[requests.Response] = []

    def receipt_at_the_accounts_address(call: ReceivedCall) -> Answer:
        # Its token names no message: only the carrier's id does.
        slug = call.content["callback_url"].partition("/webhooks/")[2].partition("/")[0]
        token = callback_tokens.make(slug=slug, attempt_id="", keys=(client.stack.environment["SECRET_KEY"],))
        url = f"{call.content['callback_url'].partition('?')[0]}?{urlencode({'token': token})}"
        receipts.append(post_receipt(url, "known-later", "delivered"))
        return 200, {"message_id": "known-later"}

    carrier.answer = receipt_at_the_accounts_address
    message_id = client.send("+14155550206")["id"]
    message = client.wait_for(message_id, "delivered")

    assert [result(receipt) for receipt in receipts] == [(202, "kept")]
    assert message["provider_message_id"] == "known-later"
    assert client.steps(message_id) == ["queued", "sending", "sent", "delivered"]


def test_a_late_receipt_settles_a_message_whose_response_never_arrived(client: Client, carrier: Carrier) -> None:
    may_end = threading.Event()

    def no_answer(_call: ReceivedCall) -> Answer:
        may_end.wait(READ_TIMEOUT * 5)
        return 200, {"message_id": "never-read"}

    carrier.answer = no_answer
    message_id = client.send("+14155550207")["id"]
    client.wait_for(message_id, "unknown")
    may_end.set()
    receipt = post_receipt(call_for(carrier, message_id).content["callback_url"], "never-read", "delivered")

    assert result(receipt) == (200, "applied")
    message = client.message(message_id)
    assert (message["status"], message["provider_message_id"], message["error"]) == ("delivered", "never-read", None)
    assert client.steps(message_id) == ["queued", "sending", "unknown", "delivered"]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda url: url.split("?")[0], id="none"),
        pytest.param(lambda url: url[:-1] + ("A" if url[-1] != "A" else "B"), id="changed"),
        pytest.param(lambda url: url.replace("token=", "token=x"), id="longer"),
        pytest.param(
            lambda url: (
                url.replace("sandbox1", "sandbox2") if "sandbox1" in url else url.replace("sandbox2", "sandbox1")
            ),
            id="of another account",
        ),
    ],
)
def test_a_receipt_without_a_valid_token_is_refused_and_has_no_effect(
    client: Client, sent: Callable, forge: Callable[[str], str]
) -> None:
    message, url = sent("+14155550208")

    refused = post_receipt(forge(url), message["provider_message_id"], "failed")

    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
    assert client.message(message["id"]) == message
    assert client.steps(message["id"]) == ["queued", "sending", "sent"]
