"""The same requests to Kannel or Jasmin and to our interfaces have the same answers, but for the differences named here."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.journeys.peers import jasmin, kannel
from tests.journeys.peers.jasmin import Jasmin
from tests.journeys.peers.kannel import Kannel
from tests.journeys.peers.smsc import Smsc
from tests.journeys.stack import Stack

NO_JASMIN = jasmin.missing()
NUMBER, OTHER_NUMBER, SENDER = "14155550501", "14155550502", "15005550006"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FORM, JSON = {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "application/json"}

Reply = tuple[int, str, str]


@dataclass(frozen=True)
class Gateway:
    """One side: where `sendsms` or `/send` is, and the login there."""

    url: str
    username: str
    password: str

    @property
    def login(self) -> dict[str, str]:
        return {"username": self.username, "password": self.password}


@dataclass(frozen=True)
class Case:
    """A request; `ours` is what we answer where that differs. `{…}` in values and bodies is filled with the login."""

    name: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    ours: Reply | None = None
    raw: str = ""

    def sent_to(self, gateway: Gateway) -> Reply:
        values = {**gateway.login, "number": NUMBER}
        query = urlencode({name: value.format(**values) for name, value in self.query.items()}) + self.raw
        url = gateway.url.removesuffix("/send") + self.path if self.path else gateway.url
        body = (
            self.body.replace("{username}", gateway.username).replace("{password}", gateway.password)
            if self.body is not None
            else None
        )
        answer = requests.request(
            "GET" if body is None else "POST",
            f"{url}?{query}" if query else url,
            data=body.encode() if body is not None else None,
            headers={name: value.format(**values) for name, value in self.headers.items()},
            timeout=20,
        )
        kind = answer.headers.get("Content-Type", "")
        return answer.status_code, UUID.sub("(uuid)", answer.text), kind


def of(base: Mapping[str, str], **change: str | None) -> dict[str, str]:
    merged = {**base, **{name.replace("_", "-").strip("-"): value for name, value in change.items()}}
    return {name: value for name, value in merged.items() if value is not None}


LOGIN = {"username": "{username}", "password": "{password}"}
SMS = {**LOGIN, "from": SENDER, "to": NUMBER, "text": "Hello"}
HTML = "text/html"
REFUSED = "{} field misformed, rejected".format
HEADERS = {
    "Content-Type": "text/plain; charset=UTF-8",
    "X-Kannel-Username": "{username}",
    "X-Kannel-Password": "{password}",
    "X-Kannel-From": SENDER,
    "X-Kannel-To": NUMBER,
}
DOCUMENT = (
    '<?xml version="1.0" encoding="UTF-8"?><message><submit><da><number>14155550501</number></da>'
    "<oa><number>15005550006</number></oa><ud>Grüße</ud><dcs><coding>2</coding></dcs><from><username>{username}</username>"
    "<password>{password}</password></from></submit></message>"
)
OF_KANNEL = [
    Case("a text", SMS),
    Case("several", of(SMS, to=f"{NUMBER} {OTHER_NUMBER} {NUMBER}")),
    Case("one is no number", of(SMS, to=f"abc {NUMBER}")),
    Case("none is a number", of(SMS, to="abc")),
    Case("no receiver", of(SMS, to=None)),
    Case("an empty receiver", of(SMS, to="")),
    Case("a blank receiver", of(SMS, to=" ")),
    Case("a wrong password", of(SMS, password="wrong")),
    Case("nothing"),
    Case("short names", of(SMS, username=None, password=None, user="{username}", _pass="{password}")),
    Case("the first counts", of(SMS), raw="&to=abc&password=wrong"),
    Case("no value", of(SMS), raw="&flag"),
    Case("unknown parameter", of(SMS, nonsense="x")),
    Case("octets of UTF-16", of(SMS, text=None, coding="2"), raw="&text=%04%1F%04%40"),
    Case("UTF-8 and coding 2", of(SMS, text="Привет", coding="2", charset="UTF-8")),
    Case("Latin-1", of(SMS, text=None, charset="ISO-8859-1"), raw="&text=%E9%A4"),
    Case("Windows", of(SMS, text=None, charset="windows-1252"), raw="&text=%80"),
    Case("an unknown charset", of(SMS, charset="nonsense")),
    Case("no text", of(SMS, text=None), ours=(400, "Text missing, rejected", HTML)),
    Case(
        "octets of no charset",
        of(SMS, text=None),
        raw="&text=%E9a",
        ours=(400, "Charset or body misformed, rejected", HTML),
    ),
    Case("binary", of(SMS, coding="1"), ours=(400, "Binary messages are not supported, rejected", HTML)),
    *(
        Case(f"{name} {value}", of(SMS, **{name: value}))
        for name, value in [
            *(
                ("coding", "3"),
                ("coding", "x"),
                ("mclass", "9"),
                ("mclass", "1"),
                ("mwi", "9"),
                ("pid", "256"),
                ("rpi", "3"),
            ),
            *(
                ("alt-dcs", "2"),
                ("compress", "2"),
                ("priority", "9"),
                ("priority", "3"),
                ("validity", "-5"),
                ("validity", "60"),
            ),
            *(("deferred", "-5"), ("deferred", "5"), ("account", "x" * 65), ("account", "a[b"), ("account", "a b")),
            *(
                ("dlr-mask", "64"),
                ("dlr-mask", "31"),
                ("dlr-url", "ftp://example.com"),
                ("dlr-url", "x"),
                ("dlr-url", "http://127.0.0.1:9000/?%d"),
            ),
        ]
    ),
    Case("a form", body="a=b", headers=FORM, ours=(403, "Authorization failed for sendsms", HTML)),
    Case("a body of JSON", body="{}", headers=JSON),
    Case("a text with headers", body="Grüße", headers=HEADERS),
    Case("headers, a wrong password", body="x", headers={**HEADERS, "X-Kannel-Password": "wrong"}),
    Case("headers, an empty receiver", body="x", headers={**HEADERS, "X-Kannel-To": ""}),
    Case("headers, no receiver", body="x", headers=of(HEADERS, **{"X-Kannel-To": None})),
    Case("a document", body=DOCUMENT, headers={"Content-Type": "text/xml"}),
    Case("a broken document", body="<x", headers={"Content-Type": "text/xml"}),
]

MT = {**LOGIN, "to": NUMBER, "from": SENDER, "content": "Hello"}
PLAIN, AS_JSON = "text/plain", "application/json"


def as_json(**change: Any) -> str:
    return json.dumps({**MT, **change}, ensure_ascii=False)


OF_JASMIN = [
    Case("a text", MT),
    Case("nothing"),
    *(Case(f"no {name}", of(MT, **{name: None})) for name in ("to", "username", "password", "content", "from")),
    Case("two contents", of(MT, hex_content="00")),
    Case("a wrong password", of(MT, password="wrong")),
    Case("an unknown user", of(MT, username="nobody")),
    Case(
        "too long a password",
        of(MT, password="x" * 17),
        ours=(400, 'Error "Argument [password] has an invalid value: [***]."', PLAIN),
    ),
    Case("an unknown argument", of(MT, nonsense="x")),
    Case("an unknown argument first", {"nonsense": "x", **MT, "to": "abc"}),
    *(
        Case(f"{name} {value}", of(MT, **{name: value}))
        for name, value in [
            *(
                ("to", "abc"),
                ("to", f"+{NUMBER}"),
                ("to", f"{NUMBER} {NUMBER}"),
                ("coding", "11"),
                ("priority", "5"),
                ("priority", "3"),
            ),
            *(
                ("validity-period", "x"),
                ("validity-period", "60"),
                ("sdt", "x"),
                ("sdt", "000000000100000R"),
                ("dlr", "maybe"),
            ),
            *(
                ("dlr", "yes"),
                ("dlr-url", "ftp://x"),
                ("dlr-url", "http://127.0.0.1:9000/"),
                ("dlr-level", "4"),
                ("dlr-level", "2"),
            ),
            *(
                ("dlr-method", "PUT"),
                ("dlr-method", "get"),
                ("tags", "a b"),
                ("tags", "a,b"),
                ("content", "Привет é €"),
            ),
        ]
    ),
    Case("octets of UTF-16", of(MT, content=None, hex_content="041F0440", coding="8")),
    Case("no octets", of(MT, content=None, hex_content="zz")),
    Case("the first counts", of(MT), raw="&to=abc"),
    Case("a form", body=urlencode(of(MT)).replace("%7B", "{").replace("%7D", "}"), headers=FORM),
    Case("a form and a query", of(MT, content=None), body="content=abc", headers=FORM),
    Case("JSON", body=as_json(), headers=JSON),
    Case("JSON with numbers", body=as_json(coding=0, priority=1), headers=JSON),
    Case("empty JSON", body="{}", headers=JSON),
    Case("JSON, an unknown argument", body=as_json(nonsense="x"), headers=JSON),
    Case("broken JSON", body="{", headers=JSON, ours=(400, 'Error "The body is not valid JSON."', PLAIN)),
    Case("a list", body="[]", headers=JSON, ours=(400, 'Error "The body is not a JSON object."', PLAIN)),
    Case("balance", LOGIN, path="/balance"),
    Case("balance, a wrong password", of(LOGIN, password="wrong"), path="/balance"),
    Case("balance, nothing", path="/balance"),
    Case("balance, no password", of(LOGIN, password=None), path="/balance"),
    Case("balance, an unknown argument", of(LOGIN, x="y"), path="/balance"),
    Case("rate", of(LOGIN, to=NUMBER), path="/rate"),
    Case("rate of a long text", of(LOGIN, to=NUMBER, content="a" * 400), path="/rate"),
    Case("rate, a wrong password", of(LOGIN, to=NUMBER, password="wrong"), path="/rate"),
    Case("rate, no number", LOGIN, path="/rate"),
    Case("rate, nothing", path="/rate"),
    Case("ping", path="/ping"),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    environment = {
        "ENABLE_KANNEL_API": "true",
        "ENABLE_JASMIN_API": "true",
        "CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "RATE_LIMIT_FAILED_LOGINS": "1000/m",
    }
    with Stack(environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def credential(stack: Stack) -> tuple[str, str]:
    username, password = stack.manage("issue_gateway_credential", "clients", "--system-id", Kannel.username).split()
    return username, password


@pytest.fixture(scope="module")
def smsc() -> Iterator[Smsc]:
    with Smsc() as carrier:
        yield carrier


@pytest.mark.skipif(not kannel.IS_INSTALLED, reason="Kannel is not installed (apt-get install kannel)")
def test_kannel_answers_as_we_do(stack: Stack, credential: tuple[str, str], smsc: Smsc, tmp_path: Path) -> None:
    with Kannel(tmp_path, smsc_port=smsc.port, denied="+4477") as gateway:
        gateway.start(replies="http://127.0.0.1:1/?none")
        stack.wait_until(lambda: smsc.is_bound, seconds=30)

        compare(
            OF_KANNEL,
            Gateway(gateway.url, gateway.username, gateway.password),
            Gateway(stack.url("/cgi-bin/sendsms"), *credential),
        )


@pytest.mark.skipif(bool(NO_JASMIN), reason=NO_JASMIN)
def test_jasmin_answers_as_we_do(stack: Stack, credential: tuple[str, str], smsc: Smsc, tmp_path: Path) -> None:
    with Jasmin(tmp_path, smsc_port=smsc.port) as gateway:
        gateway.start(replies="http://127.0.0.1:1/?none")

        compare(
            OF_JASMIN,
            Gateway(gateway.url, gateway.username, gateway.password),
            Gateway(stack.url("/send"), *credential),
        )


def compare(cases: list[Case], theirs: Gateway, ours: Gateway) -> None:
    """A difference that is named has to be one."""
    wrong = {}
    for case in cases:
        their_reply, our_reply = case.sent_to(theirs), case.sent_to(ours)
        if our_reply != (case.ours or their_reply) or (case.ours == their_reply):
            wrong[case.name] = (their_reply, our_reply)
    assert wrong == {}
