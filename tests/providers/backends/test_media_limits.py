"""The limits of a provider's media, and an account's exceptions."""

from uuid import uuid4

import pytest

from providers import registry
from providers.backends.media_limits import HTTPSMS, TELNYX, TWILIO
from providers.contract.media_limits import NO_LIMITS, MediaLimits
from providers.errors import ConfigError
from tests.factories import AccountFactory

URL = "https://sms.example/send"
TELNYX_URL = "https://api.telnyx.com/v2/messages"
JPEG, PNG = "image/jpeg", "image/png"


def limits_of(config: dict, backend: str = "generic_http") -> MediaLimits:
    registry.check_config(backend, config)
    account = AccountFactory.build(slug=uuid4().hex, backend=backend, config=config)
    return registry.capabilities_of(account).media_limits


@pytest.mark.parametrize(
    ("url", "limits"),
    [
        (URL, NO_LIMITS),
        (TELNYX_URL, TELNYX),
        ("https://API.telnyx.com:443/v2/messages", TELNYX),
        ("https://api.telnyx.com.example/v2/messages", NO_LIMITS),
        ("https://api.httpsms.com/v1/messages/send", HTTPSMS),
    ],
)
def test_a_gateway_has_the_limits_of_its_vendor(url: str, limits: MediaLimits) -> None:
    assert limits_of({"url": url}) == limits


def test_twilio_takes_five_megabytes_and_no_webp(monkeypatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a" * 32)
    config = {"account_sid": "AC1", "auth_token": {"env": "TWILIO_AUTH_TOKEN"}, "from_number": "+15005550006"}

    assert limits_of(config, "twilio") == TWILIO
    assert limits_of({**config, "media_limits": {"message_bytes": 600_000}}, "twilio").message_bytes == 600_000
    assert TWILIO.content_types is not None
    assert "image/webp" not in TWILIO.content_types


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, TELNYX),
        ({"message_bytes": 300_000}, MediaLimits(message_bytes=300_000, content_types=TELNYX.content_types)),
        ({"message_bytes": None, "content_types": None}, NO_LIMITS),
        (
            {"file_bytes": 100_000, "max_side": 640, "content_types": [JPEG, PNG]},
            MediaLimits(590_000, 100_000, 640, frozenset({JPEG, PNG})),
        ),
    ],
)
def test_an_account_may_have_limits_of_its_own(given: dict, limits: MediaLimits) -> None:
    assert limits_of({"url": TELNYX_URL, "media_limits": given}) == limits


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"message_bytes": 9_999}, "media_limits.message_bytes"),
        ({"message_bytes": "600000"}, "media_limits.message_bytes"),
        ({"file_bytes": 100_000_001}, "media_limits.file_bytes"),
        ({"max_side": 63}, "media_limits.max_side"),
        ({"content_types": [PNG]}, "must have image/jpeg"),
        ({"content_types": [JPEG, "nonsense"]}, "media_limits.content_types"),
        ({"max_bytes": 600_000}, "media_limits.max_bytes: there is no such key"),
        (600_000, "media_limits"),
    ],
)
def test_limits_that_make_no_sense_are_refused(given: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.check_config("generic_http", {"url": URL, "media_limits": given})

    assert words in str(caught.value)
