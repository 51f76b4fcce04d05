"""`sendsms` by POST: forms, texts with headers, XML documents."""

from typing import Any

import pytest
from django.utils import timezone

from messaging.models import GatewayCredential
from tests.messaging.gateway_http.conftest import LOGIN, RECEIVER, SENDER, GatewayClient, stored
from tests.messaging.gateway_http.test_kannel import ACCEPTED, TO, UNAUTHORIZED, answer

pytestmark = pytest.mark.django_db

HEADERS = {"X-Kannel-Username": "shop", "X-Kannel-Password": "secret12", "X-Kannel-To": TO, "X-Kannel-From": SENDER}


@pytest.fixture
def kannel(credential: GatewayCredential, settings: Any) -> GatewayClient:
    settings.ENABLE_KANNEL_API = True
    return GatewayClient("/cgi-bin/sendsms")


class TestForm:
    """Kannel takes none; here it keeps the password out of addresses."""

    def test_a_form(self, kannel: GatewayClient) -> None:
        assert answer(kannel.post({**LOGIN, "to": TO, "text": "Grüße"})) == ACCEPTED
        assert [message.text for message in stored()] == ["Grüße"]

    def test_the_query_counts_more(self, kannel: GatewayClient) -> None:
        response = kannel.post({"to": TO, "text": "form"}, query={**LOGIN, "text": "query"})

        assert answer(response) == ACCEPTED
        assert [message.text for message in stored()] == ["query"]

    def test_too_many(self, kannel: GatewayClient) -> None:
        response = kannel.post("&".join(f"a{index}=b" for index in range(300)).encode())

        assert answer(response) == (400, b"Too many parameters, rejected")

    def test_too_long(self, kannel: GatewayClient) -> None:
        assert answer(kannel.post(b"x" * 65_537)) == (413, b"Body too long, rejected")


class TestTextWithHeaders:
    @pytest.mark.parametrize(
        ("content_type", "body", "headers", "text"),
        [
            ("text/plain; charset=utf-8", "Grüße".encode(), {}, "Grüße"),
            ("text/plain; charset=ISO-8859-1", "Grüße".encode("latin-1"), {}, "Grüße"),
            ("text/plain", "Grüße".encode(), {}, "Grüße"),
            ("text/plain", "Grüße".encode("latin-1"), {}, "Grüße"),
            ("text/plain; charset=UTF-16BE", "мир".encode("utf-16-be"), {"X-Kannel-Coding": "2"}, "мир"),
            ("application/octet-stream", b"abc", {"X-Kannel-Coding": "0"}, "abc"),
            ("application/octet-stream", "мир".encode("utf-16-be"), {"X-Kannel-Coding": "2"}, "мир"),
        ],
    )
    def test_a_text(
        self, kannel: GatewayClient, *, content_type: str, body: bytes, headers: dict[str, str], text: str
    ) -> None:
        assert answer(kannel.post(body, content_type, headers={**HEADERS, **headers})) == ACCEPTED
        assert [(message.text, message.from_number) for message in stored()] == [(text, SENDER)]

    def test_all_headers(self, kannel: GatewayClient) -> None:
        more = {"X-Kannel-DLR-URL": f"{RECEIVER}?%d&o=%o", "X-Kannel-DLR-Mask": "3", "X-Kannel-Account": "a"}
        times = {"X-Kannel-Validity": "60", "X-Kannel-Deferred": "10"}

        assert answer(kannel.post(b"x", "text/plain", headers={**HEADERS, **more, **times})) == ACCEPTED

        [message] = stored()
        assert (message.callback_url, message.callback_dialect) == (f"{RECEIVER}?%d&o=a", "kannel:3:")
        assert message.valid_for == 3_000
        assert message.send_at > timezone.now()

    def test_headers_are_octets(self, kannel: GatewayClient) -> None:
        """A server hands them over as Latin-1."""
        headers = {
            "X-Kannel-DLR-URL": f"{RECEIVER}?%o",
            "X-Kannel-DLR-Mask": "3",
            "X-Kannel-Account": "é".encode().decode("latin-1"),
        }

        assert answer(kannel.post(b"x", "text/plain", headers={**HEADERS, **headers})) == ACCEPTED
        assert [message.callback_url for message in stored()] == [f"{RECEIVER}?%%C3%%A9"]

    @pytest.mark.parametrize(
        ("content_type", "headers", "expected"),
        [
            ("text/plain", {"X-Kannel-Password": "wrong"}, UNAUTHORIZED),
            ("text/plain", {"X-Kannel-To": ""}, (400, b"Empty receiver number not allowed, rejected")),
            ("application/octet-stream", {}, (400, b"Binary messages are not supported, rejected")),
            ("text/plain", {"X-Kannel-UDH": "050003"}, (400, b"Binary messages are not supported, rejected")),
            ("text/plain; charset=nonsense", {}, (400, b"Charset or body misformed, rejected")),
            ("text/plain; charset=rot13", {}, (400, b"Charset or body misformed, rejected")),
            ("application/json", {}, (400, b"Invalid content-type")),
            ("multipart/form-data; boundary=x", {}, (400, b"Invalid content-type")),
            ("text/html", {}, (400, b"Invalid content-type")),
        ],
    )
    def test_refusals(
        self, kannel: GatewayClient, content_type: str, headers: dict[str, str], expected: tuple[int, bytes]
    ) -> None:
        assert answer(kannel.post(b"Hello", content_type, headers={**HEADERS, **headers})) == expected
        assert stored() == []

    def test_no_receiver(self, kannel: GatewayClient) -> None:
        headers = {name: value for name, value in HEADERS.items() if name != "X-Kannel-To"}

        response = kannel.post(b"Hello", "text/plain", headers=headers)

        assert answer(response) == (400, b"Missing receiver(s) number(s), rejected")


DOCUMENT = """<?xml version="1.0" encoding="{encoding}"?>
<message><submit>
  <da><number>447911110001</number></da><da><number> 447911110002 </number></da>
  <oa><number>15005550006</number></oa>
  <ud>{text}</ud>
  <dcs><coding>2</coding></dcs><vp><delay>60</delay></vp>
  <statusrequest><dlr-mask>3</dlr-mask><dlr-url>https://client.example.com/dlr?%d</dlr-url></statusrequest>
  <from><username>shop</username><password>secret12</password><account>a</account></from>
</submit></message>"""


class TestDocument:
    @pytest.mark.parametrize(
        ("sent", "text"),
        [
            ("Hi &amp; w%20x+y", "Hi & w x y"),
            ("Grüße", "Grüße"),
            ("%D0%9F", "П"),
            ("100%", "100%"),
            ("68656C6C6F", "68656C6C6F"),
        ],
    )
    def test_a_document(self, kannel: GatewayClient, sent: str, text: str) -> None:
        response = kannel.post(DOCUMENT.format(encoding="UTF-8", text=sent).encode(), "text/xml")

        assert answer(response) == ACCEPTED
        assert [(message.to_number, message.text, message.from_number) for message in stored()] == [
            ("+447911110001", text, SENDER),
            ("+447911110002", text, SENDER),
        ]
        assert {message.callback_url for message in stored()} == {f"{RECEIVER}?%d"}
        assert {message.valid_for for message in stored()} == {3_600}

    def test_another_charset(self, kannel: GatewayClient) -> None:
        body = DOCUMENT.format(encoding="ISO-8859-1", text="Grüße").encode("latin-1")

        assert answer(kannel.post(body, "text/xml")) == ACCEPTED
        assert {message.text for message in stored()} == {"Grüße"}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<x",
            b"<x/>",
            b"<message/>",
            b"\xff\xfe\x00",
            b"<a>" * 20_000,
            b'<!DOCTYPE m [<!ENTITY a "b">]><message><submit><from><user>&a;</user></from></submit></message>',
            b'<?xml version="1.0" encoding="nonsense"?><message/>',
            b'<?xml version="1.0" encoding="UTF-7"?><message/>',
        ],
    )
    def test_what_is_none_has_no_password(self, kannel: GatewayClient, body: bytes) -> None:
        assert answer(kannel.post(body, "text/xml")) == UNAUTHORIZED
