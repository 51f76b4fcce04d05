"""The transport, besides what the contract tests cover."""

from datetime import UTC, datetime

import pytest
import requests
from urllib3.exceptions import ClosedPoolError

from providers.contract.sender import Timeouts
from providers.errors import Misconfigured, Unavailable
from providers.http.transport import HttpResponse, Transport, _Adapter

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
        raise requests.ConnectionError(ClosedPoolError(None, "Pool is closed."))  # type: ignore[arg-type]

    monkeypatch.setattr(_Adapter, "send", closed)

    with pytest.raises(Unavailable):
        Transport(Timeouts(), pool_size=1).call("POST", "http://127.0.0.1/")
