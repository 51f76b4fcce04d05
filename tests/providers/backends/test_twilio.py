"""What only Twilio does: its requests, its codes and its statuses."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from providers.backends.twilio import TwilioBackend, TwilioConfig
from providers.contract.config_types import STORED
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Timeouts
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    Misconfigured,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    SendError,
    Unavailable,
)
from providers.numbers import canonical
from tests.contract.fake_carrier import FakeCarrier, answer

CONTEXT = BackendContext(slug="tw", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
TO = "+14155550123"
TEXT = OutboundMessage(to=TO, text="Hello", sender=None, reference="message-1")
ACCOUNT = {"account_sid": "AC00", "auth_token": "t0ken", "from_number": "+14155550100"}


@pytest.fixture
def carrier(carrier: FakeCarrier) -> FakeCarrier:
    carrier.play = answer(201, {"sid": "SM1"})
    return carrier


def make(**config: Any) -> TwilioBackend:
    return TwilioBackend(TwilioConfig.model_validate({**ACCOUNT, **config}), CONTEXT)


def send(carrier: FakeCarrier, text: OutboundMessage = TEXT, **config: Any) -> Accepted:
    with closing(make(**{"api_base_url": carrier.url, **config})) as backend:
        return backend.send(text)


def test_a_text_goes_to_the_accounts_messages(carrier: FakeCarrier) -> None:
    send(carrier)

    request = carrier.received[0]
    assert (request.method, request.target) == ("POST", "/2010-04-01/Accounts/AC00/Messages.json")
    assert request.headers["authorization"] == "Basic QUMwMDp0MGtlbg=="
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form() == {"To": [TO], "Body": ["Hello"], "From": ["+14155550100"]}


def test_a_compatible_carriers_address_may_have_a_path(carrier: FakeCarrier) -> None:
    send(carrier, api_base_url=f"{carrier.url}/api/laml/")

    assert carrier.received[0].target == "/api/laml/2010-04-01/Accounts/AC00/Messages.json"


def test_without_an_address_of_its_own_an_account_talks_to_twilio() -> None:
    with closing(make()) as backend:
        assert backend._client.api.base_url == "https://api.twilio.com"


def test_everything_a_text_can_have_is_sent(carrier: FakeCarrier) -> None:
    text = OutboundMessage(
        TO,
        "é",
        "+14155550111",
        "m",
        callback_url="https://sms.example.org/s",
        media_urls=("https://a/1", "https://a/2"),
    )

    send(carrier, text, messaging_service_sid="MG1")

    assert carrier.received[0].form() == {
        "To": [TO],
        "Body": ["é"],
        "From": ["+14155550111"],
        "MessagingServiceSid": ["MG1"],
        "StatusCallback": ["https://sms.example.org/s"],
        "MediaUrl": ["https://a/1", "https://a/2"],
    }


@pytest.mark.parametrize(
    ("left", "periods"),
    [(timedelta(seconds=90), {88, 89}), (timedelta(seconds=-1), {1}), (timedelta(days=2), {36_000})],
    ids=["within the limits", "over", "longer than Twilio allows"],
)
def test_the_rest_of_a_validity_is_handed_over(carrier: FakeCarrier, left: timedelta, periods: set[int]) -> None:
    send(carrier, replace(TEXT, valid_until=datetime.now(UTC) + left))

    [period] = carrier.received[0].form()["ValidityPeriod"]
    assert int(period) in periods


def test_the_callback_address_carries_the_accounts_connection_overrides(carrier: FakeCarrier) -> None:
    text = replace(TEXT, callback_url="https://sms.example.org/s?token=t")

    send(carrier, text, callback_overrides="rc=2&rp=all&ct=3000")

    assert carrier.received[0].form()["StatusCallback"] == ["https://sms.example.org/s?token=t#rc=2&rp=all&ct=3000"]


def test_without_a_callback_address_there_is_nothing_to_override(carrier: FakeCarrier) -> None:
    send(carrier, callback_overrides="rc=2")

    assert "StatusCallback" not in carrier.received[0].form()


# What Twilio documents for its test credentials.
MAGIC_RECIPIENTS = {
    "+15005550001": (21211, RecipientInvalid),
    "+15005550002": (21612, Refused),
    "+15005550003": (21408, Refused),
    "+15005550004": (21610, RecipientOptedOut),
    "+15005550009": (21614, RecipientInvalid),
}
MAGIC_SENDERS = {
    "+15005550001": (21212, Refused),
    "+15005550007": (21606, Refused),
    "+15005550008": (21611, Unavailable),
}


@pytest.mark.parametrize("field", ["To", "From"])
def test_the_magic_numbers_of_test_credentials_mean_what_they_say(carrier: FakeCarrier, field: str) -> None:
    magic = MAGIC_RECIPIENTS if field == "To" else MAGIC_SENDERS

    for number, (code, kind) in magic.items():
        carrier.play = answer(400, {"code": code, "message": "no", "status": 400})
        text = replace(TEXT, to=number) if field == "To" else replace(TEXT, sender=number)

        with pytest.raises(SendError) as caught:
            send(carrier, text, from_number="+15005550006")

        assert type(caught.value) is kind
        assert carrier.received[-1].form()[field] == [number]
        assert canonical(number) == number


def test_numbers_are_written_in_the_notation_of_the_account(carrier: FakeCarrier) -> None:
    send(carrier, number_format="digits")

    sent = carrier.received[0].form()
    assert (sent["To"], sent["From"]) == (["14155550123"], ["14155550100"])


def test_a_messaging_service_chooses_the_sender_where_none_is_named(carrier: FakeCarrier) -> None:
    send(carrier, from_number=None, messaging_service_sid="MG1")

    assert carrier.received[0].form() == {"To": [TO], "Body": ["Hello"], "MessagingServiceSid": ["MG1"]}


@pytest.mark.parametrize(
    ("status", "code", "kind", "error_code"),
    [
        (400, 21211, RecipientInvalid, "recipient_invalid"),
        (400, 21214, RecipientInvalid, "recipient_invalid"),
        (400, 21217, RecipientInvalid, "recipient_invalid"),
        (400, 21614, RecipientInvalid, "recipient_invalid"),
        (400, 30005, RecipientInvalid, "recipient_invalid"),
        (400, 30006, RecipientInvalid, "recipient_invalid"),
        (400, 21610, RecipientOptedOut, "recipient_opted_out"),
        (401, 20003, CredentialsRefused, "provider_credentials_refused"),
        (403, 20005, CredentialsRefused, "provider_credentials_refused"),
        (401, None, CredentialsRefused, "provider_credentials_refused"),
        (403, None, AccountRefused, "provider_credentials_refused"),
        (403, 20009, AccountRefused, "provider_credentials_refused"),
        (402, None, OutOfCredit, "provider_credit"),
        (429, 20429, RateLimited, "provider_rate_limited"),
        (400, 20429, RateLimited, "provider_rate_limited"),
        (404, 20404, Unavailable, "twilio_20404"),
        (403, 20008, Unavailable, "twilio_20008"),
        (400, 21603, Unavailable, "twilio_21603"),
        (400, 21608, Refused, "twilio_21608"),
        (400, 21617, Refused, "twilio_21617"),
        (400, 21602, Refused, "twilio_21602"),
        (400, 21606, Refused, "twilio_21606"),
        (400, None, Refused, "provider_refused"),
        (400, "21211 for +14155550123", Refused, "provider_refused"),
        (500, 20500, OutcomeUnknown, "outcome_unknown"),
        (503, 20503, Unavailable, "provider_unavailable"),
        (503, None, OutcomeUnknown, "outcome_unknown"),
        (500, 20503, OutcomeUnknown, "outcome_unknown"),
        (502, None, OutcomeUnknown, "outcome_unknown"),
        (504, 20504, OutcomeUnknown, "outcome_unknown"),
        (302, None, OutcomeUnknown, "outcome_unknown"),
    ],
)
def test_the_code_decides_the_error(
    carrier: FakeCarrier, status: int, code: Any, kind: type[SendError], error_code: str
) -> None:
    carrier.play = answer(status, {"code": code or status, "message": f"The number {TO} is wrong", "status": status})

    with pytest.raises(SendError) as caught:
        send(carrier)

    assert (type(caught.value), caught.value.error_code) == (kind, error_code)
    assert TO not in caught.value.detail


def test_the_newer_form_of_an_error_is_read_the_same_way(carrier: FakeCarrier) -> None:
    carrier.play = answer(400, {"type": "t", "title": f"{TO}", "status": 400, "code": 21211, "detail": TO})

    with pytest.raises(RecipientInvalid) as caught:
        send(carrier)

    assert TO not in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"17", b"{", b"null"])
def test_an_acceptance_that_is_not_an_object_leaves_the_outcome_unknown(carrier: FakeCarrier, body: bytes) -> None:
    carrier.play = answer(201, body)

    with pytest.raises(OutcomeUnknown):
        send(carrier)


@pytest.mark.parametrize(
    "change",
    [
        {"account_sid": "../AC"},
        {"account_sid": ""},
        {"auth_token": "literal"},
        {"auth_token": None},
        {"from_number": None},
        {"api_base_url": "https://user:word@carrier.example"},
        {"shared_keys": {"webhooks_sharedkey_1": "literal"}},
        {"shared_keys": {"env": "TWILIO_SHARED_KEY"}},
        {"shared_keys": {"a,b": {"env": "TWILIO_SHARED_KEY"}}},
        {"callback_overrides": "#rc=2"},
        {"callback_overrides": "rc=2&x=1"},
        {"callback_overrides": "rc=2 "},
        {"unknown": 1},
    ],
)
def test_an_invalid_configuration_is_refused(change: dict[str, Any]) -> None:
    config = {**ACCOUNT, "auth_token": {"env": "TWILIO_AUTH_TOKEN"}}
    TwilioConfig.model_validate(config, context=STORED)

    with pytest.raises(ValidationError) as caught:
        TwilioConfig.model_validate({**config, **change}, context=STORED)

    assert "literal" not in str(caught.value)


def test_a_token_that_cannot_stand_in_a_header_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured) as caught:
        make(auth_token="tokén\n")

    assert "tok" not in str(caught.value).replace("token", "")
