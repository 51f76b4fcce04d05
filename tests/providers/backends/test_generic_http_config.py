"""What a `generic_http` configuration may say, as it is stored and with its secrets resolved."""

from typing import Any

import pytest
from pydantic import ValidationError

from messaging.models import Message
from providers.backends.generic_http_config import GenericHttpConfig
from providers.contract.config_types import STORED, EnvReference

URL = "https://carrier.example/send"
REFERENCE = {"env": "PROVIDER_ACME_KEY"}


def stored(**config: Any) -> GenericHttpConfig:
    return GenericHttpConfig.model_validate({"url": URL, **config}, context=STORED)


def resolved(**config: Any) -> GenericHttpConfig:
    return GenericHttpConfig.model_validate({"url": URL, **config})


def test_only_the_address_is_needed() -> None:
    config = stored()

    assert config.template == {"to": "{to}", "message": "{message}"}
    assert (config.method, config.format, config.message_id, config.callback_auth) == (
        "POST",
        "json",
        "message_id",
        "token",
    )
    assert config.accepted == set(range(200, 300))
    assert config.unavailable == {429, 500, 503}


def test_the_documented_example_is_acceptable() -> None:
    stored(
        method="POST",
        format="json",
        headers={"X-Api-Key": REFERENCE},
        constants={"channel": "sms"},
        fields={
            "to": "to_number",
            "message": "message",
            "from": "from",
            "callback_url": "callback_url",
            "media": "media_urls",
        },
        message_id="message_id",
        accepted=[200, 201, 202],
        unavailable=[429, 500, 503],
        rejected={"422": "recipient_invalid"},
        status={
            "message_id": "message_id",
            "status": "status",
            "values": {"delivered": "delivered", "failed": "undelivered", "invalid": "invalid"},
        },
        inbound={"from": "from", "to": "to", "message": "message", "id": "id", "media": "media"},
        callback_auth="token",
        status_url=None,
        idempotency_header=None,
        max_per_second=5,
        allowed_prefixes=["+1", "+44"],
        denied_prefixes=["+1900"],
        price_per_segment={"+1": 0.008},
    )


@pytest.mark.parametrize(
    "config",
    [
        {"url": REFERENCE},
        {"headers": {"X-Api-Key": REFERENCE, "X-Team": "sms"}},
        {"constants": {"api_key": REFERENCE, "channel": REFERENCE}},
        {"from_number": REFERENCE},
        {"callback_auth": "hmac", "callback_secret": REFERENCE},
        {"callback_auth": "basic", "callback_username": "acme", "callback_password": REFERENCE},
    ],
)
def test_a_reference_may_stand_for_any_text(config: dict[str, Any]) -> None:
    stored(**config)


def test_a_sender_is_no_longer_than_what_a_message_can_keep() -> None:
    longest = "1234567890123456"

    assert stored(from_number=longest).from_number == longest
    assert len(longest) == Message._meta.get_field("from_number").max_length


def test_a_stored_reference_stays_a_reference() -> None:
    assert stored(headers={"X-Api-Key": REFERENCE}).headers == {"X-Api-Key": EnvReference("PROVIDER_ACME_KEY")}


@pytest.mark.parametrize(
    "config",
    [
        {"headers": {"Authorization": "Bearer literal"}},
        {"headers": {"x-api-key": "literal"}},
        {"headers": {"X-Auth-Token": "literal"}},
        {"headers": {"Cookie": "literal"}},
        {"constants": {"password": "literal"}},
        {"callback_auth": "hmac", "callback_secret": "literal"},
        {"callback_auth": "basic", "callback_username": "a", "callback_password": "literal"},
    ],
)
def test_a_secret_is_never_stored_and_never_shown(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        stored(**config)

    assert '{"env": "NAME"}' in str(caught.value)
    assert "literal" not in str(caught.value)
    assert "literal" not in repr(resolved(**config))


@pytest.mark.parametrize(
    "config",
    [
        {"url": "carrier.example/send"},
        {"url": "ftp://carrier.example"},
        {"url": "https://user:word@carrier.example"},
        {"url": "https://carrier.example/?api_key=1"},
        {"url": "https://carrier.example/#part"},
        {"url": "https://carrier.example:port/"},
        {"url": "https://carrier.example/a b"},
        {"url": ""},
        {"url": {"env": ""}},
        {"url": {"env": "NOT A NAME"}},
        {"unknown": 1},
        {"method": "DELETE"},
        {"format": "xml"},
        {"callback_auth": "none"},
        {"callback_auth": "hmac"},
        {"callback_auth": "basic", "callback_username": "a"},
        {"headers": {"Host": "a"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X Y": "a"}},
        {"headers": {"X-Y": "a\r\nInjected: b"}},
        {"headers": {"env": "prod"}},
        {"constants": {"env": "prod"}},
        {"constants": {"a": None}},
        {"constants": {"a": {"b": 1}}},
        {"fields": {"reference": "id"}},
        {"fields": {"to": ""}},
        {"fields": {"from": "to"}},
        {"fields": {"to": "n", "message": "n"}},
        {"message_id": ""},
        {"message_id": "a..b"},
        {"accepted": []},
        {"accepted": [302]},
        {"accepted": ["200"]},
        {"unavailable": [200]},
        {"rejected": {"200": "a"}},
        {"rejected": {"422": "Not A Code"}},
        {"rejected": {"503": "busy"}},
        {"status": {"values": {}}},
        {"status": {"values": {"ok": "arrived"}}},
        {"status": {"values": {"ok": "unknown_word"}}},
        {"status": {"unknown": "a"}},
        {"inbound": {"sender": "a"}},
        {"status_url": "nowhere"},
        {"idempotency_header": "a b"},
        {"from_number": "a\nb"},
        {"from_number": "+15005550006 and x"},
        {"from_number": "12345678901234567"},
        {"max_per_second": 0},
        {"max_per_second": "5"},
        {"max_per_second": True},
        {"max_per_second": float("nan")},
        {"allowed_prefixes": ["1"]},
        {"allowed_prefixes": ["+"]},
        {"denied_prefixes": ["+1a"]},
        {"denied_prefixes": ["+1\n"]},
        {"price_per_segment": {"1": 1}},
        {"price_per_segment": {"+1": -1}},
        {"price_per_segment": {"+1": float("inf")}},
    ],
)
def test_an_invalid_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stored(**config)


def test_an_unresolved_reference_is_refused_where_text_is_needed() -> None:
    with pytest.raises(ValidationError):
        resolved(headers={"X-Api-Key": REFERENCE})
