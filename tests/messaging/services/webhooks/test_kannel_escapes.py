"""Escapes in addresses are filled as Kannel 1.4.5 fills them, and never in host or port."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from messaging.services.webhooks.dialects import escapes


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("http://a.example/r?s=%d", "http://a.example/r?s=8"),
        ("http://a.example/%d/x", "http://a.example/8/x"),
        ("http://a.example/r?a=%A", "http://a.example/r?a=ACK%2F+%26"),
        ("http://a.example/r?z=%z&pc=%%&x=%41%2F", "http://a.example/r?z=%z&pc=%&x=%41%2F"),
        ("http://a.example/r?%", "http://a.example/r?%"),
        ("http://a.example", "http://a.example"),
        ("http://%d.example/r?s=%d", "http://%d.example/r?s=8"),
        ("http://a.example:80%d/%d", "http://a.example:80%d/8"),
        ("http://a.example?s=%d", "http://a.example?s=8"),
        ("HTTPS://a.example#%d", "HTTPS://a.example#8"),
        ("%d", "%d"),
    ],
)
def test_fill(template: str, filled: str) -> None:
    assert escapes.fill(template, {"d": "8", "A": "ACK/ &"}) == filled


@pytest.mark.parametrize(
    "value", ["@evil.example/", "/../", "#", "?", "%41", "%d", "%%d", "\r\nX: y", "é", " ", "\\", "a&b=c", "+1"]
)
def test_a_value_ends_up_as_one_parameter_however_it_is_written(value: str) -> None:
    template = escapes.fill_known("http://a.example/r?o=%o&s=%d", {"o": value}, {})

    parts = urlsplit(escapes.fill(template, {"d": value}))

    assert parts.netloc == "a.example"
    assert parse_qsl(parts.query, keep_blank_values=True) == [("o", value), ("s", value)]
    assert not parts.fragment


def test_what_is_unknown_at_acceptance_is_filled_later() -> None:
    template = escapes.fill_known("http://a.example/r?o=%o&d=%d&pc=%%&z=%z", {"o": "50%d"}, {})

    assert template == "http://a.example/r?o=50%%25d&d=%d&pc=%%&z=%z"
    assert escapes.fill(template, {"d": "1"}) == "http://a.example/r?o=50%25d&d=1&pc=%&z=%z"


def test_parameters_of_meta_data() -> None:
    template = "http://a.example/r?a=%#smpp#my_param#&b=%#smpp#other#"

    filled = escapes.fill_known(template, {}, {("smpp", "my_param"): "v x"})

    assert escapes.fill(filled, {}) == "http://a.example/r?a=v+x&b="


def test_what_an_address_cannot_have_is_encoded() -> None:
    filled = escapes.fill_known("http://a.example/r?a=é b", {}, {})

    assert escapes.fill(filled, {}) == "http://a.example/r?a=%C3%A9+b"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("http://a.example/%d", False),
        ("http://%d/", True),
        ("http://a.example:%d/", True),
        ("http://u%p@a.example/", True),
        ("http://a.example?x=%d", False),
        ("http://a.example#%d", False),
    ],
)
def test_escapes_in_the_origin(template: str, found: bool) -> None:
    assert escapes.origin_has_escape(template) is found
