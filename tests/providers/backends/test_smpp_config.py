"""The configuration of an SMPP account."""

from typing import Any

import pytest
from pydantic import ValidationError

from providers.backends.smpp_config import SmppConfig
from providers.contract.config_types import STORED
from providers.numbers import Notation
from providers.smpp.text import Alphabet, LongText

REFERENCE = {"env": "SMS_SMPP_PASSWORD"}
REQUIRED = {"host": "smpp.carrier.example", "port": 2775, "system_id": "acme", "password": REFERENCE}


def stored(**config: Any) -> SmppConfig:
    return SmppConfig.model_validate({**REQUIRED, **config}, context=STORED)


def test_four_keys_are_enough() -> None:
    config = stored()

    assert (config.bind, config.binds, config.window, config.system_type) == ("transceiver", 1, 10, "")
    assert (config.default_alphabet, config.long_text) == (Alphabet.GSM7, LongText.UDH)
    assert (config.enquire_link_seconds, config.response_timeout, config.query_unknown) == (30, 8, False)
    assert (config.tls, config.number_format) == (False, Notation.DIGITS)


def test_all_keys_together() -> None:
    stored(
        host="2001:db8::1",
        system_type="VMS",
        bind="transmitter+receiver",
        binds=16,
        window=1000,
        tls=True,
        ca_file="/etc/ca.pem",
        client_certificate={"cert_file": "/etc/cert.pem", "key_file": {"env": "SMS_KEY_FILE"}},
        default_alphabet="gsm7_packed",
        long_text="message_payload",
        enquire_link_seconds=15,
        response_timeout=60,
        query_unknown=True,
        number_format="e164",
        from_number="ACME",
        max_per_second=50,
    )


@pytest.mark.parametrize("key", ["host", "system_id", "system_type", "ca_file"])
def test_a_reference_may_stand_for_a_text(key: str) -> None:
    stored(tls=True, **{key: REFERENCE})


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_required_key_is_named_when_it_is_missing(missing: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SmppConfig.model_validate({key: value for key, value in REQUIRED.items() if key != missing}, context=STORED)

    assert [(fault["loc"], fault["type"]) for fault in caught.value.errors()] == [((missing,), "missing")]


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"password": "literal"}, "password"),
        ({"host": "smpp://carrier.example"}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"port": "2775"}, "port"),
        ({"port": 65_536}, "port"),
        ({"system_id": "x" * 16}, "system_id"),
        ({"system_id": "ümlaut"}, "system_id"),
        ({"system_type": "x" * 13}, "system_type"),
        ({"bind": "receiver"}, "bind"),
        ({"binds": 0}, "binds"),
        ({"binds": 17}, "binds"),
        ({"window": 0}, "window"),
        ({"window": 1001}, "window"),
        ({"window": True}, "window"),
        ({"tls": "yes"}, "tls"),
        ({"ca_file": "/etc/ca.pem"}, ""),
        ({"client_certificate": "/etc/cert.pem"}, ""),
        ({"default_alphabet": "ucs2"}, "default_alphabet"),
        ({"long_text": "cut"}, "long_text"),
        ({"enquire_link_seconds": 0}, "enquire_link_seconds"),
        ({"response_timeout": 61}, "response_timeout"),
        ({"response_timeout": float("nan")}, "response_timeout"),
        ({"proxy": "http://proxy:3128"}, "proxy"),
        ({"number_format": "national"}, ""),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_its_key(config: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        stored(**config)

    assert [".".join(map(str, fault["loc"])) for fault in caught.value.errors()] == [place]


@pytest.mark.parametrize("password", ["", "p" * 65, "pässword", "pass\nword"])
def test_a_password_that_no_bind_can_carry_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SmppConfig.model_validate({**REQUIRED, "password": password})

    assert not password or password not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    assert "s3cr3t" not in repr(SmppConfig.model_validate({**REQUIRED, "password": "s3cr3t"}))
