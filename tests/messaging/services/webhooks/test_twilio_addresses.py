"""Addresses of Twilio callbacks: what is called is what is signed, and applications and the SDK's validator find the same."""

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from messaging.services.webhooks.dialects.base import ClientCall
from messaging.services.webhooks.dialects.twilio import TwilioDialect, canonical
from providers.http.public_addresses import AddressRefused, Guard
from providers.http.public_http import PublicHttp
from tests.factories import NOW
from tests.journeys.local_server import LocalServer, QuietHandler

TOKEN = "0123456789abcdef0123456789abcdef"
FORM = {"Body": "Größe + 1 & 2=3 😀\r\n", "From": "+14155550101", "MessagingServiceSid": "", "To": "+15005550006"}
POST = urlencode(FORM).encode()
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
# What an operator may give, and what is called and signed.
CANONICAL = {
    "https://app.example.com": "https://app.example.com/",
    "https://app.example.com?a=b": "https://app.example.com/?a=b",
    "HTTPS://App.Example.COM/In": "https://app.example.com/In",
    "https://app.example.com:443/in": "https://app.example.com/in",
    "http://app.example.com:80/in": "http://app.example.com/in",
    "http://app.example.com:443/in": "http://app.example.com:443/in",
    "https://app.example.com:8443/in": "https://app.example.com:8443/in",
    "https://app.example.com./in": "https://app.example.com/in",
    "https://[2606:4700::1111]/in": "https://[2606:4700::1111]/in",
    "https://[2606:4700::1111]:8443/in": "https://[2606:4700::1111]:8443/in",
    "https://app.example.com/in?": "https://app.example.com/in",
    "https://app.example.com/in?#part": "https://app.example.com/in",
    "https://app.example.com/in?a=b#part": "https://app.example.com/in?a=b",
    "https://app.example.com/in;": "https://app.example.com/in%3B",
    "https://app.example.com/in;?a=b": "https://app.example.com/in%3B?a=b",
    "https://app.example.com/in;v=1?a=b": "https://app.example.com/in;v=1?a=b",
    "https://app.example.com/a/../in": "https://app.example.com/in",
    "https://app.example.com//in": "https://app.example.com//in",
    "https://app.example.com/a%2fb%41": "https://app.example.com/a%2Fb%41",
    "https://app.example.com/100%": "https://app.example.com/100%25",
    "https://app.example.com/a+b%20c?d=e+f%20g%2bh": "https://app.example.com/a+b%20c?d=e+f%20g%2Bh",
    "https://app.example.com/it's?q='x'": "https://app.example.com/it's?q='x'",
    "https://app.example.com/in?q=[1]&r={x}|y": "https://app.example.com/in?q=%5B1%5D&r=%7Bx%7D%7Cy",
    "https://app.example.com/in?a=b?c=%3F&d": "https://app.example.com/in?a=b?c=%3F&d",
    "https://app.example.com/in?to=http://o.example.com:80/": "https://app.example.com/in?to=http://o.example.com:80/",
}


class _Application(QuietHandler):
    """Rebuilds the address as web frameworks do, and validates as Twilio's documentation says."""

    verdicts: list[bool] = []

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        target = self.requestline.split()[1]  # `self.path` has lost slashes at its beginning
        url = f"http://{self.headers['Host']}{target}"
        self.verdicts.append(RequestValidator(TOKEN).validate(url, form, self.headers["X-Twilio-Signature"]))
        self.send_response(204)
        self.end_headers()

    do_GET = do_POST  # noqa: N815


@pytest.fixture
def verdicts() -> Iterator[tuple[str, list[bool]]]:
    handler = type("Application", (_Application,), {"verdicts": []})
    with LocalServer(handler) as server:
        yield server.url, handler.verdicts


def signature(method: str, url: str) -> str:
    request = ClientCall(method, url, HEADERS, POST if method == "POST" else b"")
    [value] = TwilioDialect().signature(request, webhook_id="x", secrets=(TOKEN, "an older one"), now=NOW).values()
    return value


@pytest.mark.parametrize("given_url", CANONICAL)
def test_an_address_has_one_spelling_that_the_validator_accepts(given_url: str) -> None:
    url = canonical(given_url)

    assert url == CANONICAL[given_url]
    assert canonical(url) == url
    assert RequestValidator(TOKEN).validate(url, FORM, signature("POST", url))
    assert RequestValidator(TOKEN).validate(url, {}, signature("GET", url))


@pytest.mark.parametrize("broken", ["http://[::1", "https://a b/", "mailto:a@example.com", "", "//x", "http://:80/"])
def test_what_is_no_address_is_left_for_the_guard_to_refuse(broken: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().check_url(canonical(broken))


PATHS = ["/in;", "//x", "/a%2fb", "/a b", "/a+b", "/it's", "/100%", "/é", "/a/./../b", "/~x(1)!*@:,=&$", '/"<>|^`{}[]']
QUERIES = ["", "?", "?a=b+c%20d%2B", "?q='x'", "?a=b?c=%3F", "?&&=", "?a=é", "?a=[1]", "?a#part"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_application_behind_a_port_finds_the_address_that_was_signed(method: str, verdicts) -> None:
    origin, found = verdicts
    guard = Guard.allowing(["127.0.0.0/8"])
    urls = [canonical(f"{origin}{path}{query}") for path in PATHS for query in QUERIES]
    with closing(PublicHttp(guard)) as http:
        for url in urls:
            http.call(
                method,
                url,
                body=POST if method == "POST" else b"",
                headers={**HEADERS, "X-Twilio-Signature": signature(method, url)},
                timeout_seconds=5,
            )

    assert [url for url, verdict in zip(urls, found, strict=True) if not verdict] == []


@settings(max_examples=300, deadline=None)
@given(st.text("abAB%25;=&?#/.+ '[]{}|~:@!$,\u00e9\t\"", max_size=30))
@example(";?;")
@example("/;;")
@example(";/;?")
def test_any_address_is_stable_and_accepted(tail: str) -> None:
    url = canonical(f"https://app.example.com:8443/{tail}")

    assert canonical(url) == url
    assert RequestValidator(TOKEN).validate(url, FORM, signature("POST", url))
