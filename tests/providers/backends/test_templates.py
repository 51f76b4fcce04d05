"""Requests by template: values keep their type, what has no value is left out, and secrets stay as they are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from providers.backends import templates
from providers.backends.validity import ValidityLimits
from providers.contract.messages import OutboundMessage
from providers.numbers import Notation, NumberFormat

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TEXT = OutboundMessage(
    to="+447911123456",
    text="Grüße {to}",
    sender=None,
    reference="m-1",
    media_urls=("https://a/1", "https://a/2"),
    encoding="ucs2",
    segments=2,
    valid_until=NOW + timedelta(seconds=90, milliseconds=500),
)


def render(template: Any, text: OutboundMessage = TEXT, sender: str | None = None) -> Any:
    return templates.render(template, templates.values_of(text, sender=sender, numbers=NumberFormat(), now=NOW))


def test_a_text_that_is_one_placeholder_takes_its_type() -> None:
    assert render({"n": "{segments}", "media": "{media_urls}", "ttl": "{valid_for}", "list": [{"to": "{to}"}]}) == {
        "n": 2,
        "media": ["https://a/1", "https://a/2"],
        "ttl": 90,
        "list": [{"to": "+447911123456"}],
    }


def test_a_longer_text_is_filled_or_left_out_and_other_braces_stay() -> None:
    assert render({"a": "to {to}, {segments} parts", "b": "{unknown} {}", "c": "{from}/x", "d": "{from}&{to}"}) == {
        "a": "to +447911123456, 2 parts",
        "b": "{unknown} {}",
    }


def test_the_text_itself_is_never_a_template() -> None:
    assert render({"text": "{message}", "again": "<{message}>"}) == {"text": "Grüße {to}", "again": "<Grüße {to}>"}


@pytest.mark.parametrize(
    ("encoding", "message", "octets"), [("gsm7", "a@€", "61001b65"), ("ucs2", "ж👋", "0436d83ddc4b")]
)
def test_the_octets_of_the_text_are_hexadecimal_in_its_encoding(encoding: str, message: str, octets: str) -> None:
    text = replace(TEXT, text=message, encoding=encoding)

    assert render({"hex": "{message_hex}"}, text) == {"hex": octets}


def test_what_has_no_value_is_left_out_with_the_objects_that_held_only_that() -> None:
    bare = replace(TEXT, media_urls=(), valid_until=None)
    template = {"from": "{from}", "dlr": {"url": "{callback_url}"}, "media": ["{media_urls}"], "ttl": "{valid_for}"}

    assert render({**template, "empty": "", "none": None, "zero": 0}, bare) == {"empty": "", "none": None, "zero": 0}


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(seconds=90.5), {"s": 90, "m": 1, "ms": 90_500}),
        (timedelta(seconds=59), {"s": 59, "m": 1, "ms": 59_000}),
        (timedelta(seconds=0.2), {"s": 1, "m": 1, "ms": 200}),
        (timedelta(seconds=-5), {"s": 1, "m": 1, "ms": 1}),
    ],
)
def test_the_validity_that_is_left_is_handed_over_in_the_providers_unit(
    left: timedelta, expected: dict[str, int]
) -> None:
    template = {"s": "{valid_for}", "m": "{valid_for_minutes}", "ms": "{valid_for_ms}"}

    assert render(template, replace(TEXT, valid_until=NOW + left)) == expected


@pytest.mark.parametrize(("left", "expected"), [(5, 20), (90.5, 90), (4000, 3600)])
def test_the_validity_is_within_the_providers_limits(left: float, expected: int) -> None:
    text = replace(TEXT, valid_until=NOW + timedelta(seconds=left))
    limits = ValidityLimits(shortest=20, longest=3600)

    values = templates.values_of(text, sender=None, numbers=NumberFormat(), now=NOW, limits=limits)

    assert (values["valid_for"], values["valid_for_ms"] // 1000) == (expected, expected)
    assert values["valid_until"] == f"{NOW + timedelta(seconds=expected):%Y-%m-%dT%H:%M:%SZ}"


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="longest is less than shortest"):
        ValidityLimits(shortest=20, longest=19)


def test_numbers_are_written_as_the_provider_writes_them() -> None:
    numbers = NumberFormat(Notation.DOUBLE_ZERO)
    values = templates.values_of(TEXT, sender="ACME", numbers=numbers, now=NOW)

    assert templates.render(["{to}", "{from}"], values) == ["00447911123456", "ACME"]


@pytest.mark.parametrize("template", ["{nobody}", {"a": ["{To}"]}, [{"b": "x {message.text}"}]])
def test_a_placeholder_that_does_not_exist_is_refused_with_those_that_do(template: Any) -> None:
    with pytest.raises(ValueError, match=r"known are .*\{message\}"):
        templates.check(template)


def test_the_category_and_parameters_are_placeholders_and_a_missing_parameter_has_no_value() -> None:
    text = replace(TEXT, category="otp", parameters={"entity_id": "1101"})
    template = {
        "kind": "{category}",
        "entity": "{parameters.entity_id}",
        "template": "{parameters.template_id}",
        "both": "{parameters.entity_id}/{parameters.template_id}",
        "deep": {"x": "{parameters.template_id}"},
        "with text": "e={parameters.entity_id}",
    }

    assert render(template, text) == {"kind": "otp", "entity": "1101", "with text": "e=1101"}


@pytest.mark.parametrize("name", ["parameters", "parameters.", "parameters.a.b", "parameter.a", "parameters.1"])
def test_other_names_of_parameters_are_no_placeholders(name: str) -> None:
    with pytest.raises(ValueError, match=r"parameters\.NAME"):
        templates.check(f"{{{name}}}")
