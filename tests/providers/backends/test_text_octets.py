"""Incoming texts that a provider hands over as octets, with the charset's name beside them."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from providers import gsm
from providers.backends.generic_http import GenericHttpBackend
from providers.contract.callbacks import CallbackRequest
from providers.contract.sender import BackendContext, Timeouts
from providers.errors import MalformedCallback

CONTEXT = BackendContext(slug="acme", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
SENDER = "+447911123456"
HEX = {"path": "raw", "as": "hex", "charset": "coding", "charsets": {"": "gsm", "0": "gsm", "8": "utf-16-be"}}
PERCENT = {"path": "text", "as": "percent", "charset": "charset", "charsets": {"L1": "latin-1", "U16": "utf-16-be"}}

RAW = {"path": "text", "as": "raw", "charset": "coding", "charsets": {"0": "utf-8", "2": "utf-16-be"}}


def texts(octets: dict[str, Any], body: bytes, content_type: str, *, query: str = "") -> list[str]:
    config = {"url": "http://127.0.0.1/", "inbound": {"message": "text", "octets": octets}}
    backend = GenericHttpBackend(GenericHttpBackend.Config.model_validate(config), CONTEXT)
    request = CallbackRequest(f"https://sms.example.org/in/?{query}", {"content-type": content_type}, body)
    return [text.text for text in backend.parse_inbound(request)]


def form(**fields: Any) -> tuple[bytes, str]:
    return urlencode({"from": SENDER, **fields}).encode(), "application/x-www-form-urlencoded"


def document(**fields: Any) -> tuple[bytes, str]:
    return json.dumps({"from": SENDER, **fields}).encode(), "application/json"


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        ({"coding": "0"}, gsm.encode("@ 5 €"), "@ 5 €"),
        ({}, gsm.encode("@ 5 €"), "@ 5 €"),
        ({"coding": "8"}, "Grüße 👋".encode("utf-16-be"), "Grüße 👋"),
    ],
)
def test_octets_are_read_by_the_charset_even_if_the_text_beside_them_is_none(
    coding: dict[str, str], octets: bytes, text: str
) -> None:
    assert texts(HEX, *form(text=b"\x00\xd8\xff", raw=octets.hex(), **coding)) == [text]


@pytest.mark.parametrize(
    ("charset", "given", "text"),
    [
        ("U16", quote("mañana + 1".encode("utf-16-be")).replace("%20", "+"), "mañana + 1"),
        ("L1", "ma%F1ana+%2B+1", "mañana + 1"),
        ("UTF-8", "100%41 + 1", "100%41 + 1"),
    ],
)
def test_percent_encoded_octets_are_read_by_the_charset(charset: str, given: str, text: str) -> None:
    assert texts(PERCENT, *document(text=given, charset=charset)) == [text]


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        ("0", "Grüße & 👋".encode(), "Grüße & 👋"),
        ("2", "STOP".encode("utf-16-be"), "STOP"),
        ("2", "Grüße & 👋 мир".encode("utf-16-be"), "Grüße & 👋 мир"),
    ],
)
def test_raw_octets_of_a_form_or_a_query_are_read_by_the_charset(coding: str, octets: bytes, text: str) -> None:
    body, content_type = form(text=octets, coding=coding)

    assert texts(RAW, body, content_type) == [text]
    assert texts(RAW, b"", "", query=body.decode()) == [text]


@pytest.mark.parametrize(("coding", "octets"), [("2", b"\xd8\x00"), ("2", b"odd"), ("0", b"\xff"), ("2", b"\x00\x00")])
def test_raw_octets_that_are_no_text_in_their_charset_are_malformed(coding: str, octets: bytes) -> None:
    with pytest.raises(MalformedCallback):
        texts(RAW, b"", "", query=form(text=octets, coding=coding)[0].decode())


def test_a_query_that_is_no_text_is_malformed_without_octets() -> None:
    with pytest.raises(MalformedCallback):
        texts(HEX, b"", "", query=form(text=b"\xff", coding="4")[0].decode())


def test_a_text_in_a_charset_that_is_not_listed_is_read_as_a_text() -> None:
    assert texts(HEX, *form(text="hello", raw="ff", coding="4")) == ["hello"]


@pytest.mark.parametrize(("octet", "text"), [(b"\x00", "@S@T"), (b"\x08", "ST"), (b"\xf1", "@S@T"), (b"8", "ST")])
def test_a_charset_may_be_named_by_one_octet(octet: bytes, text: str) -> None:
    octets = {**HEX, "charsets": {"0": "gsm", "8": "utf-16-be", "241": "gsm"}}

    assert texts(octets, *form(text="", raw="00530054", coding=octet)) == [text]


def test_a_charset_that_is_no_text_is_not_listed() -> None:
    assert texts(HEX, *document(text="hello", raw="00", coding="\ud800")) == ["hello"]


@pytest.mark.parametrize("raw", ["zz", "d800", "414", "0000"])
def test_octets_that_are_no_text_in_their_charset_are_malformed(raw: str) -> None:
    with pytest.raises(MalformedCallback):
        texts(HEX, *form(raw=raw, coding="8"))


def test_a_text_that_no_charset_can_read_is_malformed() -> None:
    with pytest.raises(MalformedCallback):
        texts(HEX, *form(text=b"\xd8\xff", raw="d8ff", coding="4"))
