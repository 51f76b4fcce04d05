"""No secret, number or text is left in a masked call, in whatever form the call carries it."""

import base64
import json
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape

import pytest

from providers.contract.messages import OutboundMessage
from providers.masking import HIDDEN, Mask, secrets_of

SECRET = 'p4ss&wörd "x"/+='
TEXT = "Grüße 🎉! Your code is 493 201, and the long rest <of it> & more"
NUMBER = "+14155550101"
MESSAGE = OutboundMessage(
    to=NUMBER,
    text=TEXT,
    sender="+15005550006",
    reference="0190a1b2",
    callback_url="https://sms.example/webhooks/acme/status/?token=0190a1b2.c2lnbmF0dXJl",
    media_urls=("https://sms.example/media/0190?sig=abcdef",),
)


def mask(secret: str = SECRET, message: OutboundMessage | None = MESSAGE) -> Mask:
    return Mask({"PROVIDER_ACME_KEY": secret}, message)


FORMS = {
    "as it is": lambda value: value,
    "JSON": json.dumps,
    "JSON in a form": lambda value: urlencode({"payload": json.dumps({"a": value})}),
    "JSON with Unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "form": lambda value: urlencode({"a": value, "b": 1}),
    "query": lambda value: f"?a={quote(value)}",
    "form in a form": lambda value: urlencode({"url": urlencode({"a": value})}),
    "form in Latin-1": lambda value: quote_plus(value, encoding="latin-1", errors="replace"),
    "UCS-2 in a query": lambda value: quote(value.encode("utf-16-be")),
    "UCS-2 in hexadecimal": lambda value: value.encode("utf-16-be").hex(),
    "XML": lambda value: f"<m>{escape(value)}</m>",
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_replaced_by_the_name_of_its_variable(form: str) -> None:
    masked = mask()(FORMS[form](SECRET))

    assert "PROVIDER_ACME_KEY" in masked
    for part in (SECRET[:6], "wörd", quote(SECRET[:6]), FORMS[form](SECRET)):
        assert part not in masked


@pytest.mark.parametrize("user", ["a", "ab", "abc", "the-user"])
def test_a_secret_in_basic_credentials_is_hidden_wherever_they_stand(user: str) -> None:
    encoded = base64.b64encode(f"{user}:{SECRET}".encode()).decode()

    masked = mask().header("X-Credentials", f"Basic {encoded}")

    for offset in range(3):
        assert SECRET[offset : offset + 4] not in _readable(masked)
    assert "<PROVIDER_ACME_KEY>" in masked
    assert mask().header("Authorization", f"Basic {encoded}") == HIDDEN


def _readable(masked: str) -> str:
    """What can be decoded of what is left."""
    left = masked.removeprefix("Basic ").partition("<")[0]
    return base64.b64decode(left + "=" * (-len(left) % 4)).decode("utf-8", "replace")


def test_an_address_that_is_a_secret_is_hidden_as_the_client_writes_it() -> None:
    masked = mask("https://Hooks.Example/T0/B0ü/XyZ?k=abcd1234")(
        "https://hooks.example/T0/B0%C3%BC/XyZ?k=abcd1234&to=1"
    )

    assert masked == "https://hooks.example<PROVIDER_ACME_KEY>?<PROVIDER_ACME_KEY>&to=1"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", "Bearer unknown-to-us", HIDDEN),
        ("Authorization", f"Bearer {SECRET}", "Bearer <PROVIDER_ACME_KEY>"),
        ("Set-Cookie", "session=1", HIDDEN),
        ("X-Api-Key", SECRET, "<PROVIDER_ACME_KEY>"),
        ("X-Api-Key", f"{SECRET}x", HIDDEN),
        ("Accept", "application/json", "application/json"),
    ],
)
def test_headers_with_a_telling_name_show_nothing_but_a_variable(name: str, value: str, expected: str) -> None:
    assert mask().header(name, value) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"access_token": "ey\\"J", "expires_in": 3600}', f'{{"access_token": "{HIDDEN}", "expires_in": 3600}}'),
        ("https://a.example/?api_key=xyz&to=1", f"https://a.example/?api_key={HIDDEN}&to=1"),
        ("grant=1&client_secret=xyz%2F1", f"grant=1&client_secret={HIDDEN}"),
        (
            "u=https%3A%2F%2Fa.example%2F%3Ftoken%3Dxyz%26b%3D1",
            f"u=https%3A%2F%2Fa.example%2F%3Ftoken%3D{HIDDEN}%26b%3D1",
        ),
        ("<r><token>xyz</token></r>", f"<r><token>{HIDDEN}</token></r>"),
        ('{"message": "Invalid token: expired"}', '{"message": "Invalid token: expired"}'),
    ],
)
def test_values_with_a_telling_name_are_hidden_even_if_they_are_not_ours(content: str, expected: str) -> None:
    assert mask()(content) == expected


@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_the_text_is_left(form: str) -> None:
    masked = mask()(FORMS[form](TEXT))

    assert "<text>" in masked
    for part in ("Your", "code", "493", "201", "long"):
        assert FORMS[form](part).strip('"') not in masked


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"body": "Gr__e! Your code is 493 201, and the"}', '{"body": "Gr__e<text>"}'),
        ('{"error": "no route for 493"}', '{"error": "no route for 493"}'),
        ('{"error": "bad number"}', '{"error": "bad number"}'),
    ],
)
def test_a_text_that_is_repeated_in_part_is_hidden_and_the_rest_is_shown(content: str, expected: str) -> None:
    assert mask()(content) == expected


def test_a_code_in_the_text_is_hidden_by_itself() -> None:
    message = OutboundMessage(to=NUMBER, text="Code: 493201", sender=None, reference="r")

    assert mask(message=message)('{"template": ["493201", "x"]}') == '{"template": ["<text>", "x"]}'


def test_a_short_text_is_hidden_as_a_word() -> None:
    message = OutboundMessage(to=NUMBER, text="ok", sender=None, reference="r")

    assert mask(message=message)('{"text": "ok", "token_ok": 1}') == '{"text": "<text>", "token_ok": 1}'


@pytest.mark.parametrize(
    "written",
    [
        "+14155550101",
        "14155550101",
        "0014155550101",
        "%2B14155550101",
        "4155550101",
        "555-0101",
        "1415 555 0101",
        "(415) 555-0101",
        "+1 415/555/0101",
        "1,415,555,0101",
    ],
)
def test_of_a_number_the_last_four_digits_are_left(written: str) -> None:
    assert mask()(f"to={written}&x=1").endswith("…0101&x=1")
    assert "5550" not in mask()(f"to={written}&x=1").replace(" ", "").replace("-", "")


def test_our_token_and_addresses_of_media_are_hidden_and_the_rest_stays() -> None:
    sent = json.dumps(
        {"from": "+15005550006", "id": "0190a1b2", "url": MESSAGE.callback_url, "media": MESSAGE.media_urls}
    )

    assert json.loads(mask()(sent)) == {
        "from": "+15005550006",
        "id": "0190a1b2",
        "url": "https://sms.example/webhooks/acme/status/?<token>",
        "media": ["<media>"],
    }


def test_the_text_of_a_test_is_shown() -> None:
    assert Mask({}, MESSAGE, hides_text=False)(f"{TEXT} {NUMBER}") == f"{TEXT} …0101"


def test_the_secrets_of_an_account_are_all_values_from_the_environment() -> None:
    config = {
        "url": {"env": "A_URL"},
        "headers": {"X-Key": {"env": "A_KEY"}},
        "list": [{"auth": {"env": "SHORT"}}, {"env": "NOT_SET"}],
        "env": "plain",
    }
    environment = {"A_URL": "https://a.example/", "A_KEY": "12345", "SHORT": "123", "OTHER": "unused"}

    assert secrets_of(config, environment) == {"A_URL": "https://a.example/", "A_KEY": "12345"}


def test_values_that_carry_the_text_are_hidden_where_the_text_is() -> None:
    septets = "c8329bfd06"

    assert Mask({}, MESSAGE, private=[septets])(f'{{"octets": "{septets}"}}') == '{"octets": "<text>"}'
    assert septets in Mask({}, MESSAGE, hides_text=False, private=[septets])(f'{{"octets": "{septets}"}}')
