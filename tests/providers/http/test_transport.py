"""The transport, besides what the contract tests cover."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import ClosedPoolError

from providers.contract.messages import OutboundMessage
from providers.contract.sender import Timeouts
from providers.errors import Misconfigured, OutcomeUnknown, Unavailable
from providers.exchanges import Recording
from providers.http.transport import DEFAULT_HEADERS, HttpResponse, Transport
from tests.contract.fake_carrier import FakeCarrier, Play, hang_up, reset, say_nothing, trickle
from tests.contract.fake_carrier import send as respond

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 86_400),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("Sun, 22 Nov 2099 11:00:00 GMT", 86_400),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0665", None),
        ("Sun, 99 Nov 2026 99:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +9999999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400),
        ("Mon, 01 Jan 2024 00:00:00 -0000", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert HttpResponse(503, {"retry-after": value}, b"").retry_after(NOW) == seconds


def test_the_repr_of_a_response_has_no_body() -> None:
    assert repr(HttpResponse(200, {"a": "secret"}, b"secret")) == "HttpResponse(status=200)"


def test_an_address_that_makes_no_request_is_a_misconfiguration() -> None:
    transport = Transport(Timeouts(), pool_size=1)

    with pytest.raises(Misconfigured):
        transport.call("POST", "http://[not-an-address/")


def test_credentials_that_no_header_can_carry_are_a_misconfiguration_of_the_account() -> None:
    transport = Transport(Timeouts(), pool_size=1)

    with pytest.raises(Misconfigured):
        transport.call("POST", "http://127.0.0.1:9/", credentials=("user", "pass\u20acword"))


def test_a_pool_that_another_thread_closed_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_args: object, **_kwargs: object) -> None:
        raise ClosedPoolError(None, "Pool is closed.")  # type: ignore[arg-type]

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", closed)

    with pytest.raises(Unavailable):
        Transport(Timeouts(), pool_size=1).call("POST", "http://127.0.0.1/")


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("http://carrier.example/send", {"json": {"to": "+1", "text": "ä\ud800"}}),
        ("http://carrier.example/send", {"json": []}),
        (
            "http://carrier.example/send",
            {"form": {"to": "+1", "text": "a b&ä", "several": ["x", None, "y"], "no": None}},
        ),
        ("http://carrier.example/send", {"body": b"<xml/>", "headers": {"content-type": "text/xml", "Accept": "*/*"}}),
        ("http://carrier.example/send", {}),
        ("https://Carrier.Example:8443/a b/%7e?key=1#part", {"query": {"to": "+1", "text": "ä ~", "no": None}}),
        ("http://b\u00fccher.example", {"query": {"a": ["1", "2"]}}),
        ("http://user:pass@[::1]:80/", {"json": {}}),
        ("http://carrier.example/", {"credentials": ("üser", ""), "headers": {"X-Key": "k"}}),
    ],
)
def test_a_request_is_prepared_as_requests_prepares_it(url: str, given: dict[str, Any]) -> None:
    with closing(Transport(Timeouts(), pool_size=1)) as http:
        made = http._prepare(
            "POST",
            url,
            given.get("headers"),
            given.get("query"),
            json=given.get("json"),
            data=given.get("form") or given.get("body"),
            credentials=given.get("credentials"),
        )

    session = requests.Session()
    session.headers.clear()
    session.headers.update(DEFAULT_HEADERS)
    expected = session.prepare_request(
        requests.Request(
            "POST",
            url,
            headers=given.get("headers"),
            params=given.get("query"),
            json=given.get("json"),
            data=given.get("form") or given.get("body"),
            auth=given.get("credentials"),
        )
    )
    assert (made.address.url, made.address.target, made.body) == (expected.url, expected.path_url, expected.body)
    assert made.headers == dict(expected.headers)


def test_a_response_of_two_lengths_may_be_to_an_accepted_message(carrier: FakeCarrier, http: Transport) -> None:
    carrier.play = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")

    with pytest.raises(OutcomeUnknown):
        http.call("POST", carrier.url)


def test_a_header_that_comes_twice_has_both_values(carrier: FakeCarrier, http: Transport) -> None:
    carrier.play = respond(b"HTTP/1.1 200 OK\r\nX-Id: 1\r\nx-id: 2\r\nContent-Length: 0\r\n\r\n")

    assert http.call("POST", carrier.url).headers["x-id"] == "1, 2"


@pytest.mark.parametrize("ended", [hang_up, reset])
def test_a_peer_that_answers_first_has_done_nothing_before_its_answer(
    carrier: FakeCarrier, http: Transport, ended: Play
) -> None:
    carrier.play = ended

    with pytest.raises(Unavailable) as caught:
        http.call("POST", carrier.url, body=b"x", is_answered_first=True)

    assert caught.value.error_code == "provider_unreachable"
    assert len(carrier.received) == 1


@pytest.mark.parametrize(
    "broken",
    [
        say_nothing,
        trickle(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then_close=True),
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then_close=True),
        respond(b"\x00\xff\r\n\r\n", then_close=True),
    ],
    ids=["no answer", "endless headers", "no body", "half a body", "not HTTP"],
)
def test_a_peer_that_answers_first_may_have_acted_once_it_began_or_went_silent(
    carrier: FakeCarrier, broken: Play
) -> None:
    carrier.play = broken

    with closing(Transport(Timeouts(connect=5, read=0.3), pool_size=1)) as http, pytest.raises(OutcomeUnknown):
        http.call("POST", carrier.url, body=b"x", is_answered_first=True)

    assert len(carrier.received) == 1


def test_an_exchange_that_its_caller_notes_is_not_recorded(carrier: FakeCarrier, http: Transport) -> None:
    recording = Recording()

    with recording.of(OutboundMessage(to="+14155550123", text="x", sender=None, reference="r")):
        http.call("POST", carrier.url, body=b"x", is_recorded=False)

    assert (recording.calls, len(carrier.received)) == ([], 1)
