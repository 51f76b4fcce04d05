"""SMPP accounts through all processes: the simulated carrier, one on smpp34, and one on node-smpp."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import smpp34

from tests.environment import GIVEN_DATABASE_URL
from tests.journeys.chaos.outages import database_unavailable
from tests.journeys.client import Client, Message
from tests.journeys.peers import node_smpp
from tests.journeys.peers.gateway_journey import disable_sandbox
from tests.journeys.peers.node_smpp import NodeProgram
from tests.journeys.peers.smpp34_carrier import Smpp34Carrier, Submission, Verdict
from tests.journeys.smpp_accounts import RESPONSE_SECONDS, SENDER, add_account, bind_of
from tests.journeys.stack import Stack

SIMULATED, MAGIC, OF_SMPP34, OF_NODE, WRONG = "+1415200", "+15005559", "+4479110", "+4479111", "+4479112"
OUTAGE_SECONDS = 2.0
needs_node = pytest.mark.skipif(bool(node_smpp.missing()), reason=node_smpp.missing())
LONG_TEXTS = {
    "euros": "€" * 200,
    "emoji": "Hi 👋🏽 " * 40,
    "cyrillic": "Жди меня, и я вернусь. " * 25,
    "1,530 characters": "abcdefghijklmnopqrstuvwxyz " * 56 + "abcdefghijklmnopqr",
}


@pytest.fixture(scope="module")
def carrier() -> Iterator[Smpp34Carrier]:
    with Smpp34Carrier() as running:
        yield running


@pytest.fixture(scope="module")
def node() -> Iterator[NodeProgram | None]:
    if node_smpp.missing():
        yield None
        return
    settings = {"system_id": "node", "password": "sandbox", "receipts": True}
    with NodeProgram("carrier.js", settings) as running:
        running.wait_for(lambda event: "port" in event)
        yield running


@pytest.fixture(scope="module")
def stack(carrier: Smpp34Carrier, node: NodeProgram | None) -> Iterator[Stack]:
    with Stack(connectors=1, sandbox_options=("--receipt-delay-ms", "100")) as running:
        add_account(running, "simulated", port=running.smpp_port, prefix=SIMULATED, allowed_prefixes=[SIMULATED, MAGIC])
        add_account(running, "smpp34", port=carrier.port, prefix=OF_SMPP34)
        if node is not None:
            add_account(running, "node", port=node.events[0]["port"], prefix=OF_NODE, system_id="node", long_text="sar")
        disable_sandbox(Client(running))
        running.wait_until(lambda: running.smpp_sessions() == 1 and carrier.receivers == 1)
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    return Client(stack)


@pytest.fixture
def _restored(stack: Stack) -> Iterator[None]:
    before = stack.sandbox_settings()["smpp"]
    yield
    stack.change_sandbox({"smpp": before})


def accepted_by_simulator(stack: Stack, to: str) -> list[dict[str, Any]]:
    return [entry for entry in stack.sandbox_log()["accepted"] if entry["to"] == to]


def delivered(message_id: str) -> bytes:
    """The text of a receipt."""
    times = "submit date:2611301200 done date:261130120001"
    return f"id:{message_id} sub:001 dlvrd:001 {times} stat:DELIVRD err:000".encode()


# --- The simulated carrier --------------------------------------------------------------------------------------------


def test_a_message_is_queued_sent_and_delivered(client: Client) -> None:
    message = client.wait_for(client.send(f"{SIMULATED}0001", "Hello by SMPP")["id"], "delivered")

    assert client.steps(message["id"]) == ["queued", "sending", "sent", "delivered"]
    [entry] = accepted_by_simulator(client.stack, f"{SIMULATED}0001")
    assert (entry["text"], entry["from"]) == ("Hello by SMPP", SENDER[1:])
    assert message["provider_message_id"] == entry["message_id"]


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_a_long_text_arrives_once_and_unchanged(client: Client, text: str) -> None:
    to = f"{SIMULATED}01{list(LONG_TEXTS.values()).index(text):02}"

    client.wait_for(client.send(to, text)["id"], "delivered")

    [entry] = accepted_by_simulator(client.stack, to)
    assert entry["text"] == text
    assert len(entry["message_ids"]) > 1


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize(
    ("at", "response_ids", "receipt_ids", "form"),
    [
        (0, "hex", "decimal", "text_and_tlvs"),
        (1, "decimal", "hex", "text"),
        (2, "upper_hex", "hex", "tlvs"),
        (3, "padded_decimal", "decimal", "text"),
        (4, "hex", "padded_hex", "tlvs"),
    ],
)
def test_a_receipt_is_matched_in_every_form_of_its_id(
    client: Client, at: int, response_ids: str, receipt_ids: str, form: str
) -> None:
    client.stack.change_sandbox(
        {"smpp": {"response_ids": response_ids, "receipt_ids": receipt_ids, "receipt_form": form}}
    )

    client.wait_for(client.send(f"{SIMULATED}02{at:02}")["id"], "delivered")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("+15005559901", "undelivered"),
        ("+15005559902", "undelivered"),
        ("+15005559905", "unknown"),
        ("+15005559906", "delivered"),
        ("+15005559907", "delivered"),
        ("+15005559908", "delivered"),
        ("+15005559909", "sent"),
    ],
)
def test_a_magic_number_ends_as_documented(client: Client, number: str, status: str) -> None:
    message = client.send(number)

    client.wait_for(message["id"], status)
    assert len(client.attempts(message["id"])) == 1


@pytest.mark.parametrize("text", ["Yes €5", "Жду " * 40], ids=["short", "long"])
def test_a_reply_is_received_once_and_unchanged(client: Client, text: str) -> None:
    sender = f"{SIMULATED}03{len(text):02}"[:12]
    client.wait_for(client.send(sender)["id"], "delivered")  # the reply belongs to the user who wrote last
    client.stack.deliver_reply(sender=sender, to=SENDER, text=text)

    def found() -> list[dict[str, Any]]:
        return client.get("messages/", direction="inbound", **{"from": sender})["results"]

    client.stack.wait_until(lambda: {each["status"] for each in found()} == {"processed"})
    assert [each["message"] for each in found()] == [text]


# --- A carrier on smpp34 ----------------------------------------------------------------------------------------------


def test_what_a_throttled_carrier_refuses_is_sent_later_and_once(client: Client, carrier: Smpp34Carrier) -> None:
    to = f"{OF_SMPP34}00001"
    verdicts = iter([Verdict(smpp34.ESME_RTHROTTLED)])
    carrier.decide = lambda _submission: next(verdicts, Verdict())

    message = client.wait_for(client.send(to)["id"], "sent")

    first, second = client.attempts(message["id"])
    assert (first["error"]["code"], second["outcome"]) == ("provider_rate_limited", "accepted")
    assert len(carrier.sent_to(to[1:])) == 2


def test_a_recipient_that_the_carrier_does_not_know_becomes_inactive(client: Client, carrier: Smpp34Carrier) -> None:
    to = f"{OF_SMPP34}00002"
    carrier.decide = lambda _submission: Verdict(smpp34.ESME_RINVDSTADR)

    client.wait_for(client.send(to)["id"], "failed")

    assert len(carrier.sent_to(to[1:])) == 1
    assert client.get(f"phone-numbers/{to}/")["status"] == "inactive"


def test_without_a_response_the_outcome_is_unknown_and_nothing_is_sent_again(
    client: Client, carrier: Smpp34Carrier
) -> None:
    to = f"{OF_SMPP34}00003"
    carrier.decide = lambda _submission: Verdict(is_silent=True)

    message = client.wait_for(client.send(to)["id"], "unknown")

    assert len(client.attempts(message["id"])) == len(carrier.sent_to(to[1:])) == 1


def test_a_response_that_comes_too_late_makes_the_message_sent(client: Client, carrier: Smpp34Carrier) -> None:
    to = f"{OF_SMPP34}00004"
    carrier.decide = lambda _submission: Verdict(after=RESPONSE_SECONDS + 1)

    message = client.wait_for(client.send(to)["id"], "unknown")

    client.wait_for(message["id"], "sent")
    assert len(carrier.sent_to(to[1:])) == 1


def test_no_receipt_is_lost_while_the_database_is_unavailable(client: Client, carrier: Smpp34Carrier) -> None:
    carrier.decide = lambda _submission: Verdict()
    recipients = [f"{OF_SMPP34}1{index:04}" for index in range(40)]
    messages = [client.wait_for(each, "sent") for each in client.send_batch(recipients)]

    def deliver(message: Message) -> int:
        return carrier.deliver(message["to"][1:], SENDER[1:], delivered(message["provider_message_id"]), esm_class=4)

    with ThreadPoolExecutor(len(messages)) as executor:
        with database_unavailable(client.stack):
            answers = [executor.submit(deliver, message) for message in messages]
            time.sleep(OUTAGE_SECONDS)
        refused = [message for message, answer in zip(messages, answers, strict=True) if answer.result() != 0]
    for message in refused:
        client.stack.wait_until(lambda again=message: deliver(again) == 0)

    assert refused or not GIVEN_DATABASE_URL  # a write waits for SQLite's lock
    assert {client.message(message["id"])["status"] for message in messages} == {"delivered"}
    assert [len(carrier.sent_to(to[1:])) for to in recipients] == [1] * len(recipients)


def test_a_receipt_is_acknowledged_when_it_is_stored_and_what_cannot_be_read_is_refused(
    client: Client, carrier: Smpp34Carrier
) -> None:
    to = f"{OF_SMPP34}00005"
    carrier.decide = lambda _submission: Verdict()
    message = client.wait_for(client.send(to)["id"], "sent")

    status = carrier.deliver(to[1:], SENDER[1:], delivered(carrier.ids[-1]), esm_class=4)

    assert (status, client.message(message["id"])["status"]) == (0, "delivered")
    assert carrier.deliver(to[1:], SENDER[1:], b"no receipt at all", esm_class=4) != 0


def test_the_parts_of_a_long_text_are_all_submitted(client: Client, carrier: Smpp34Carrier) -> None:
    to = f"{OF_SMPP34}00006"
    carrier.decide = lambda _submission: Verdict()
    text = "€" * 200

    client.wait_for(client.send(to, text)["id"], "sent")

    parts: list[Submission] = carrier.sent_to(to[1:])
    octets = b"".join(part.octets[6:] for part in sorted(parts, key=lambda part: part.octets[5]))
    assert octets == b"\x1be" * 200
    assert [part.esm_class for part in parts] == [0x40] * 3


# --- A carrier on node-smpp -------------------------------------------------------------------------------------------


@needs_node
@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_node_smpp_reads_the_text_and_its_receipt_delivers_it(client: Client, node: NodeProgram, text: str) -> None:
    to = f"{OF_NODE}0000{list(LONG_TEXTS.values()).index(text)}"

    client.wait_for(client.send(to, text)["id"], "delivered")

    parts = [event for event in node.events if event.get("to") == to[1:]]
    assert "".join(part["text"] for part in sorted(parts, key=lambda part: part["sar"][2])) == text
    assert all(part["sar"][1] == len(parts) for part in parts)


@needs_node
def test_a_reply_from_node_smpp_is_received(client: Client, node: NodeProgram) -> None:
    sender = f"{OF_NODE}00020"
    client.wait_for(client.send(sender)["id"], "delivered")
    node.order({"from": sender[1:], "to": SENDER[1:], "text": "Grüße"})

    [acknowledged] = node.wait_for(lambda event: event.get("event") == "reply")

    assert acknowledged["status"] == 0
    [received] = client.get("messages/", direction="inbound", **{"from": sender})["results"]
    assert received["message"] == "Grüße"


@needs_node
def test_a_wrong_password_alerts_and_is_not_tried_again_and_again(client: Client, node: NodeProgram) -> None:
    add_account(client.stack, "wrong", port=node.events[0]["port"], prefix=WRONG, system_id="other")

    node.wait_for(lambda event: event.get("event") == "refused")
    client.stack.wait_until(lambda: bind_of(client.stack, "wrong").get("state") == "refused")
    message = client.send(f"{WRONG}00001", valid_for=3)
    client.wait_for(message["id"], "failed")

    assert sum(event.get("event") == "refused" for event in node.events) == 1
    assert bind_of(client.stack, "wrong")["error"].endswith("ESME_RINVPASWD")
