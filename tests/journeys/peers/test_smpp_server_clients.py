"""The SMPP server with the clients that organisations have: smpplib, node-smpp, and Debian's Kannel."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.journeys.client import Client
from tests.journeys.local_server import LocalServer, QuietHandler
from tests.journeys.peers import kannel, node_smpp
from tests.journeys.peers.kannel import Kannel
from tests.journeys.peers.node_smpp import NodeProgram
from tests.journeys.peers.smpplib_client import SmpplibClient
from tests.journeys.stack import Stack

SLOW_MS, SOON_MS = 3_000, 100
DELIVERED_STATE, RECEIPT_KIND = 2, 4
DELIVERED_MASK, ALL_REPORTS = 1, 31
LONG_TEXT = "Grüße aus Köln: " + "€{[]}" * 60
UCS2_TEXT = "Жди меня 👋 " * 20


@dataclass(frozen=True)
class Login:
    user: str
    system_id: str
    password: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(smpp_server=True, sandbox_options=("--receipt-delay-ms", str(SOON_MS))) as running:
        yield running


@pytest.fixture(scope="module")
def issue(stack: Stack) -> Callable[[str], Login]:
    def issued(user: str) -> Login:
        return Login(user, *stack.manage("issue_gateway_credential", user).split())

    return issued


@pytest.fixture
def _slow_receipts(stack: Stack) -> Iterator[None]:
    stack.change_sandbox({carrier: {"receipt_delay_ms": SLOW_MS} for carrier in ("provider1", "provider2")})
    yield
    stack.change_sandbox({carrier: {"receipt_delay_ms": SOON_MS} for carrier in ("provider1", "provider2")})


def texts_of(stack: Stack, user: str) -> dict[str, dict[str, Any]]:
    return Client(stack, user).messages()


# --- smpplib ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Your code: 5 € [a_b]", LONG_TEXT, UCS2_TEXT], ids=["short", "long", "ucs2"])
def test_a_text_of_smpplib_becomes_one_message_and_its_receipts_come(
    stack: Stack, issue: Callable[[str], Login], text: str
) -> None:
    login = issue(f"smpplib{len(text)}")
    with SmpplibClient(stack.smpp_server_port, system_id=login.system_id, password=login.password) as client:
        answers = client.send("+14155550301", text)
        receipts = client.wait_for_delivered(1)

    assert {status for status, _ in answers} == {0}
    [message] = texts_of(stack, login.user).values()
    assert (message["to"], message["message"], message["status"]) == ("+14155550301", text, "delivered")
    assert {receipt.message_id for receipt in receipts} <= {message_id for _, message_id in answers}
    assert {receipt.state for receipt in receipts} == {DELIVERED_STATE}
    assert b"stat:DELIVRD" in receipts[0].text


@pytest.mark.usefixtures("_slow_receipts")
def test_a_receipt_outlives_a_restart_of_the_server(stack: Stack, issue: Callable[[str], Login]) -> None:
    login = issue("restarted")
    with SmpplibClient(stack.smpp_server_port, system_id=login.system_id, password=login.password) as client:
        [(status, message_id)] = client.send("+14155550302", "Hello")
    stack.stop_smpp_server()
    Client(stack, login.user).wait_until_none_is(["queued", "sending", "sent"])

    stack.start_smpp_server()
    with SmpplibClient(stack.smpp_server_port, system_id=login.system_id, password=login.password) as client:
        [receipt] = client.wait_for_delivered(1)

    assert status == 0
    assert (receipt.message_id, receipt.state) == (message_id, DELIVERED_STATE)


# --- node-smpp --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(bool(node_smpp.missing()), reason=node_smpp.missing())
def test_texts_of_node_smpp_arrive_and_their_receipts_come(stack: Stack, issue: Callable[[str], Login]) -> None:
    login = issue("node")
    texts = {"14155550311": "Hello from Node", "14155550312": "Жди меня", "14155550313": "x" * 700}
    settings = {"port": stack.smpp_server_port, "system_id": login.system_id, "password": login.password}
    with NodeProgram("client.js", settings) as program:
        [bound] = program.wait_for(lambda event: event["event"] == "bound")
        for to, text in texts.items():
            program.order({"source": "", "to": to, "text": text})
        answers = program.wait_for(lambda event: event["event"] == "answered", count=len(texts))
        receipts = program.wait_for(lambda event: event["event"] == "delivered", count=len(texts))

    assert bound["status"] == 0
    assert {answer["status"] for answer in answers} == {0}
    found = {each["to"][1:]: (each["message"], each["status"]) for each in texts_of(stack, login.user).values()}
    assert found == {to: (text, "delivered") for to, text in texts.items()}
    assert {receipt["receipted_message_id"] for receipt in receipts} == {answer["id"] for answer in answers}
    assert {(receipt["message_state"], receipt["esm_class"]) for receipt in receipts} == {
        (DELIVERED_STATE, RECEIPT_KIND)
    }


@pytest.mark.skipif(bool(node_smpp.missing()), reason=node_smpp.missing())
def test_a_wrong_password_is_refused_by_its_status(stack: Stack, issue: Callable[[str], Login]) -> None:
    login = issue("forgetful")
    settings = {"port": stack.smpp_server_port, "system_id": login.system_id, "password": "wrong"}

    with NodeProgram("client.js", settings) as program:
        [bound] = program.wait_for(lambda event: event["event"] == "bound")

    assert bound["status"] in {0x0D, 0x0E}


# --- Kannel -----------------------------------------------------------------------------------------------------------


class Reports(LocalServer):
    """A context manager: the delivery reports that Kannel calls an address with."""

    def __init__(self) -> None:
        self.types: list[tuple[str, int]] = []
        self.changed = threading.Condition()
        reports = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:  # noqa: N802 (the name that its base class calls)
                query = parse_qs(urlsplit(self.path).query)
                with reports.changed:
                    reports.types.append((query["to"][0], int(query["type"][0])))
                    reports.changed.notify_all()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)

    def wait_for(self, to: str, kind: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: (to, kind) in self.types, 30), self.types


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    with Reports() as running:
        yield running


@pytest.mark.skipif(not kannel.IS_INSTALLED, reason="Kannel is not installed (apt-get install kannel)")
def test_texts_of_kannel_arrive_and_are_reported_also_after_a_restart(
    stack: Stack, issue: Callable[[str], Login], reports: Reports, tmp_path: Path
) -> None:
    login = issue("kannel")
    texts = {"14155550321": ("Your code: 5 € @ {x}", 0), "14155550322": ("Жди меня", 2), "14155550323": ("y" * 700, 0)}
    account = (login.system_id, login.password)
    with Kannel(tmp_path, smsc_port=stack.smpp_server_port, denied="+4477", login=account) as gateway:
        gateway.start(replies="http://127.0.0.1:1/?none")

        def send(to: str, text: str, coding: int) -> None:
            query = {
                "username": gateway.username,
                "password": gateway.password,
                "from": "15005550006",
                "to": f"+{to}",
                "text": text,
                "coding": coding,
                "charset": "UTF-8",
                "dlr-mask": ALL_REPORTS,
                "dlr-url": f"{reports.url}/?to={to}&type=%d",
            }
            answer = requests.get(gateway.url, params=query, timeout=10)
            assert answer.status_code == 202, answer.text

        for to, (text, coding) in texts.items():
            send(to, text, coding)
        for to in texts:
            reports.wait_for(to, DELIVERED_MASK)
        stack.stop_smpp_server()
        stack.start_smpp_server()
        send("14155550324", "After the restart", 0)
        reports.wait_for("14155550324", DELIVERED_MASK)

    found = {each["to"][1:]: (each["message"], each["status"]) for each in texts_of(stack, login.user).values()}
    wanted = {to: text for to, (text, _) in texts.items()} | {"14155550324": "After the restart"}
    assert found == {to: (text, "delivered") for to, text in wanted.items()}, json.dumps(found)


class Replies(LocalServer):
    """A context manager: the people's texts that Kannel calls an address with, each with its sender and recipient."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []
        self.changed = threading.Condition()
        replies = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:  # noqa: N802 (the name that its base class calls)
                # Octets: UTF-16 with coding 2, else UTF-8.
                query = parse_qs(urlsplit(self.path).query, encoding="latin-1")
                octets = query["message"][0].encode("latin-1")
                text = octets.decode("utf-16-be" if query["coding"] == ["2"] else "utf-8")
                with replies.changed:
                    replies.found.append((query["from"][0], query["to"][0], text))
                    replies.changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.found) >= count, 30), self.found


@pytest.mark.skipif(not kannel.IS_INSTALLED, reason="Kannel is not installed (apt-get install kannel)")
def test_peoples_texts_reach_kannel_also_those_of_while_it_was_away(stack: Stack, tmp_path: Path) -> None:
    system_id, password = stack.manage("issue_gateway_credential", "answered", "--receive-texts").split()
    texts = ["Yes, please: 5 €", "Да 👋", "€{[]}" * 30, "Жди меня 👋 " * 13, "x" * 160]
    client = Client(stack, "answered")

    def arrive(number: int) -> None:
        body = {"from": f"+1415555033{number}", "to": "+15005550006", "message": texts[number]}
        answer = client.post("messages/inbound/", body)
        assert answer.status_code == 201, answer.text

    arrive(0)
    with (
        Replies() as replies,
        Kannel(tmp_path, smsc_port=stack.smpp_server_port, denied="+4477", login=(system_id, password)) as gateway,
    ):
        gateway.start(replies=f"{replies.url}/?reply")
        replies.wait_for(1)
        for number in range(1, len(texts)):
            arrive(number)
        replies.wait_for(len(texts))

    wanted = [(f"+1415555033{number}", "+15005550006", text) for number, text in enumerate(texts)]
    assert sorted(replies.found) == wanted
