"""Kannel's and Jasmin's HTTP interfaces with the clients that organisations have: curl, Kannel itself, RapidPro's courier."""

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from providers import gsm
from tests.journeys.client import Client, Message
from tests.journeys.local_server import LocalServer, QuietHandler
from tests.journeys.peers import kannel
from tests.journeys.peers.kannel import Kannel
from tests.journeys.stack import Stack

SANDBOX_SENDER = "15005550006"
UNDELIVERABLE = "15005559901"
CURL = shutil.which("curl")
GSM_TEXT, UCS2_TEXT, LONG_TEXT = "Your code: 5 € @ {x} & 100% + à\nYes", "Grüße 👋 мир & more", "Grüße {[]} " * 60
ENVIRONMENT = {"ENABLE_KANNEL_API": "true", "ENABLE_JASMIN_API": "true", "CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8"}

Receipt = tuple[str, dict[str, str]]


class Receiver(LocalServer):
    """A context manager: the receipts that come, each with its method and parameters, and `answer` as what is answered."""

    def __init__(self, answer: bytes = b"ACK/Jasmin") -> None:
        self.receipts: list[Receipt] = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:  # noqa: N802 (the name that its base class calls)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                query = f"{urlsplit(self.path).query}&{body}"
                with receiver.changed:
                    receiver.receipts.append((self.command, dict(parse_qsl(query, keep_blank_values=True))))
                    receiver.changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815 (the same)

        super().__init__(Handler)

    def wait_for(self, condition: Callable[[Receipt], bool]) -> Receipt:
        with self.changed:
            assert self.changed.wait_for(lambda: any(map(condition, self.receipts)), 30), self.receipts
            return next(filter(condition, self.receipts))


@dataclass(frozen=True)
class Login:
    username: str
    password: str


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(environment=ENVIRONMENT, sandbox_options=("--receipt-delay-ms", "100")) as running:
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def login(stack: Stack) -> Login:
    return Login(*stack.manage("issue_gateway_credential", "clients").split())


def texts_to(stack: Stack, to: str) -> list[Message]:
    """Of the user of the credential."""
    return Client(stack, "clients").get("messages/", to=f"+{to}")["results"]


# --- curl -------------------------------------------------------------------------------------------------------------


def curl(url: str, values: dict[str, str], *options: str) -> tuple[int, str]:
    data = [option for name, value in values.items() for option in ("--data-urlencode", f"{name}={value}")]
    command = ["curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", *options, *data, url]
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), body


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("options", [("--get",), ()], ids=["get", "form"])
def test_curl_sends_through_kannel_s_interface(
    stack: Stack, receiver: Receiver, login: Login, options: tuple[str, ...]
) -> None:
    to = f"1415555040{len(options)}"
    values = {"username": login.username, "password": login.password, "to": to, "text": UCS2_TEXT}
    dlr = {"dlr-mask": "31", "dlr-url": f"{receiver.url}/?to=%p&type=%d&F=%F&A=%A"}

    answer = curl(stack.url("/cgi-bin/sendsms"), {**values, **dlr}, *options)

    assert answer == (202, "0: Accepted for delivery")
    method, receipt = receiver.wait_for(lambda each: (each[1].get("to"), each[1].get("type")) == (to, "1"))
    [message] = texts_to(stack, to)
    assert (message["message"], message["status"]) == (UCS2_TEXT, "delivered")
    assert (method, receipt["F"]) == ("GET", message["provider_message_id"])
    assert receipt["A"].startswith(f"id:{message['provider_message_id']} sub:001 dlvrd:001 ")


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("options", [("--get",), ()], ids=["get", "form"])
def test_curl_sends_through_jasmin_s_interface(
    stack: Stack, receiver: Receiver, login: Login, options: tuple[str, ...]
) -> None:
    values = {"username": login.username, "password": login.password, "to": UNDELIVERABLE, "content": UCS2_TEXT}

    status, body = curl(stack.url("/send"), {**values, "dlr-level": "3", "dlr-url": receiver.url}, *options)

    found = re.fullmatch('Success "(.*)"', body)
    assert (status, bool(found)) == (200, True), body
    told = [
        receiver.wait_for(lambda each, level=level: (each[1].get("id"), each[1].get("level")) == (found[1], level))
        for level in "12"
    ]
    assert [(method, receipt["message_status"]) for method, receipt in told] == [
        ("POST", "ESME_ROK"),
        ("POST", "UNDELIV"),
    ]
    message = Client(stack, "clients").message(found[1])
    assert (message["to"], message["message"], message["status"]) == (f"+{UNDELIVERABLE}", UCS2_TEXT, "undelivered")


# --- Kannel as a relay ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not kannel.IS_INSTALLED, reason="Kannel is not installed (apt-get install kannel)")
def test_kannel_relays_texts_and_passes_receipts_back(
    stack: Stack, receiver: Receiver, login: Login, tmp_path: Path
) -> None:
    texts = {"14155550411": (GSM_TEXT, 0), "14155550412": (UCS2_TEXT, 2), UNDELIVERABLE: ("Relayed", 0)}
    with Kannel(
        tmp_path,
        send_url=stack.url("/cgi-bin/sendsms"),
        denied="+4477",
        login=(login.username, login.password),
    ) as gateway:
        gateway.start(replies="http://127.0.0.1:1/?none")
        for to, (text, coding) in texts.items():
            query = {
                "username": gateway.username,
                "password": gateway.password,
                "from": SANDBOX_SENDER,
                "to": to,
                "text": text,
                "coding": coding,
                "charset": "UTF-8",
                "dlr-mask": 31,
                "dlr-url": f"{receiver.url}/?relayed={to}&type=%d&text=%A",
            }
            answer = requests.get(gateway.url, params=query, timeout=10)
            assert (answer.status_code, answer.text) == (202, "0: Accepted for delivery")
        for to in texts:
            kind = "2" if to == UNDELIVERABLE else "1"
            receiver.wait_for(
                lambda each, to=to, kind=kind: (each[1].get("relayed"), each[1].get("type")) == (to, kind)
            )

    for to, (text, _) in texts.items():
        [message] = [each for each in texts_to(stack, to) if each["message"] == text]
        assert message["status"] == ("undelivered" if to == UNDELIVERABLE else "delivered")
        assert message["from"] == f"+{SANDBOX_SENDER}"


# --- RapidPro's courier: the requests that its channel types make, and what it reads of the answers ------------------


@pytest.mark.parametrize(("text", "coding"), [(GSM_TEXT, ""), (UCS2_TEXT, "2")], ids=["gsm", "unicode"])
def test_courier_s_channel_of_the_type_kannel(
    stack: Stack, receiver: Receiver, login: Login, text: str, coding: str
) -> None:
    to = f"1415555042{coding or 0}"
    dlr_url = f"{receiver.url}/c/kn/0191/status?uuid={to}&status=%d"
    form = {
        "dlr-mask": "27",
        "dlr-url": dlr_url,
        "from": f"+{SANDBOX_SENDER}",
        "password": login.password,
        "to": f"+{to}",
        "username": login.username,
    }
    octets = text.encode("utf-16-be") if coding else text.encode()

    query = urlencode({**form, "priority": "1", "text": octets, **({"coding": coding} if coding else {})})
    answer = requests.get(f"{stack.url('/cgi-bin/sendsms')}?{query}", timeout=10)

    assert answer.status_code // 100 == 2
    for kind in ("8", "1"):
        receiver.wait_for(lambda each, kind=kind: (each[1].get("uuid"), each[1].get("status")) == (to, kind))
    assert [(each["message"], each["status"]) for each in texts_to(stack, to)] == [(text, "delivered")]


@pytest.mark.parametrize("text", [GSM_TEXT, UCS2_TEXT, LONG_TEXT], ids=["gsm", "unicode", "long"])
def test_courier_s_channel_of_the_type_jasmin(stack: Stack, receiver: Receiver, login: Login, text: str) -> None:
    is_gsm = gsm.decode(gsm.encode(text)) == text
    form = {
        "username": login.username,
        "password": login.password,
        "from": SANDBOX_SENDER,
        "to": "14155550431",
        "dlr": "yes",
        "dlr-url": f"{receiver.url}/c/js/0191/status",
        "dlr-level": "2",
        "dlr-method": "POST",
        "coding": "0" if is_gsm else "8",
        **({"content": text} if is_gsm else {"hex-content": text.encode("utf-16-be").hex()}),
    }

    answer = requests.get(f"{stack.url('/send')}?{urlencode(sorted(form.items()))}", timeout=10)

    found = re.search(r"Success \"(.*)\"", answer.text)
    assert (answer.status_code, bool(found)) == (200, True), answer.text
    method, receipt = receiver.wait_for(lambda each: each[1].get("id") == found[1])
    assert (method, receipt["message_status"]) == ("POST", "DELIVRD")
    assert (int(receipt["dlvrd"]), int(receipt["err"])) == (1, 0)  # courier reads both as numbers
    message = Client(stack, "clients").message(found[1])
    assert (message["to"], message["message"], message["status"]) == ("+14155550431", text, "delivered")
