"""What only AWS does: its requests and its errors."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from pydantic import ValidationError

from providers.backends.aws import AwsBackend, AwsConfig
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
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.contract.sns import TOPIC

CONTEXT = BackendContext(slug="aws1", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
TO = "+14155550123"
TEXT = OutboundMessage(to=TO, text="Grüße 👋", sender=None, reference="0197f0aa-0000-7000-8000-000000000001")
ACCOUNT = {"region": "eu-west-1", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s3cr3t"}


@pytest.fixture
def carrier(carrier: FakeCarrier) -> FakeCarrier:
    carrier.play = answer(200, {"MessageId": "id-1"})
    return carrier


def make(**config: Any) -> AwsBackend:
    return AwsBackend(AwsConfig.model_validate({**ACCOUNT, **config}), CONTEXT)


def send(carrier: FakeCarrier, text: OutboundMessage = TEXT, **config: Any) -> Accepted:
    with closing(make(**{"endpoint_url": carrier.url, **config})) as backend:
        return backend.send(text)


def test_the_least_request_names_the_message_and_leaves_the_rest_to_aws(carrier: FakeCarrier) -> None:
    send(carrier)

    assert carrier.received[0].json() == {
        "DestinationPhoneNumber": TO,
        "MessageBody": "Grüße 👋",
        "MessageType": "TRANSACTIONAL",
        "Context": {"switchboard": TEXT.reference},
    }


def test_the_request_is_the_one_that_awss_own_client_makes(carrier: FakeCarrier) -> None:
    send(
        carrier,
        replace(TEXT, sender="ACME"),
        configuration_set="receipts",
        message_type="PROMOTIONAL",
        max_price="0.50",
        from_number="+14155550100",
    )
    client = boto3.client(
        "pinpoint-sms-voice-v2",
        region_name="eu-west-1",
        aws_access_key_id=ACCOUNT["access_key_id"],
        aws_secret_access_key=ACCOUNT["secret_access_key"],
        endpoint_url=carrier.url,
        config=Config(retries={"total_max_attempts": 1}),
    )
    answered = client.send_text_message(
        DestinationPhoneNumber=TO,
        OriginationIdentity="ACME",
        MessageBody="Grüße 👋",
        MessageType="PROMOTIONAL",
        ConfigurationSetName="receipts",
        MaxPrice="0.50",
        Context={"switchboard": TEXT.reference},
    )
    client.close()

    ours, theirs = carrier.received
    assert answered["MessageId"] == "id-1"
    assert (ours.method, ours.target, ours.json()) == (theirs.method, theirs.target, theirs.json())
    for name in ("content-type", "x-amz-target", "host"):
        assert ours.headers[name] == theirs.headers[name]
    assert _scope(ours.headers["authorization"]) == _scope(theirs.headers["authorization"])


def test_numbers_are_written_in_the_notation_of_the_account(carrier: FakeCarrier) -> None:
    send(carrier, from_number="+14155550100", number_format="digits")

    sent = carrier.received[0].json()
    assert (sent["DestinationPhoneNumber"], sent["OriginationIdentity"]) == ("14155550123", "14155550100")


@pytest.mark.parametrize(
    ("category", "config", "sent"),
    [
        ("otp", {}, "TRANSACTIONAL"),
        ("marketing", {}, "PROMOTIONAL"),
        ("emergency", {}, "TRANSACTIONAL"),
        ("marketing", {"message_type": "TRANSACTIONAL"}, "TRANSACTIONAL"),
    ],
    ids=str,
)
def test_the_category_says_the_type_unless_the_account_does(carrier: FakeCarrier, category, config, sent) -> None:
    send(carrier, replace(TEXT, category=category), **config)

    assert carrier.received[0].json()["MessageType"] == sent


def test_indias_registrations_are_parameters_of_the_message(carrier: FakeCarrier) -> None:
    send(carrier, replace(TEXT, parameters={"entity_id": "1101", "template_id": "1107", "other": "x"}))

    country = {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"}
    assert carrier.received[0].json()["DestinationCountryParameters"] == country


def _scope(authorization: str) -> str:
    return authorization.partition(", Signature=")[0]


def test_without_an_endpoint_of_its_own_an_account_talks_to_its_region() -> None:
    with closing(make()) as backend:
        assert backend._url == "https://sms-voice.eu-west-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(timedelta(seconds=90), {88, 89}), (timedelta(seconds=1), {5}), (timedelta(days=30), {259_200})],
    ids=["within the limits", "shorter than AWS allows", "longer than AWS allows"],
)
def test_the_rest_of_a_validity_is_handed_over(carrier: FakeCarrier, left: timedelta, seconds: set[int]) -> None:
    send(carrier, replace(TEXT, valid_until=datetime.now(UTC) + left))

    assert carrier.received[0].json()["TimeToLive"] in seconds


NUMBER_FIELD = {"Reason": "FIELD_VALIDATION_FAILED", "Fields": [{"Name": "DestinationPhoneNumber", "Message": TO}]}
TWO_FIELDS = {**NUMBER_FIELD, "Fields": [*NUMBER_FIELD["Fields"], {"Name": "MessageBody", "Message": "long"}]}


@pytest.mark.parametrize(
    ("status", "name", "more", "kind", "error_code"),
    [
        (400, "ConflictException", {"Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT"}, RecipientOptedOut, None),
        (400, "ValidationException", NUMBER_FIELD, RecipientInvalid, None),
        (400, "ValidationException", TWO_FIELDS, Refused, "aws_field_validation_failed"),
        (400, "ValidationException", {"Reason": "CANNOT_PARSE"}, Refused, "aws_cannot_parse"),
        (
            400,
            "ValidationException",
            {**NUMBER_FIELD, "Reason": "COUNTRY_NOT_ENABLED"},
            Refused,
            "aws_country_not_enabled",
        ),
        (400, "ValidationException", {"Reason": f"number {TO}"}, Refused, "aws_validation"),
        (400, "ResourceNotFoundException", {"ResourceType": "pool"}, Refused, "aws_resource_not_found"),
        (
            400,
            "ConflictException",
            {"Reason": "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE"},
            Refused,
            "aws_destination_phone_number_blocked_by_protect_number_override",
        ),
        (
            400,
            "ServiceQuotaExceededException",
            {"Reason": "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"},
            OutOfCredit,
            "provider_credit",
        ),
        (400, "AccessDeniedException", {"Reason": "ACCOUNT_DISABLED"}, CredentialsRefused, None),
        (400, "AccessDeniedException", {}, AccountRefused, None),
        (400, "ThrottlingException", {}, RateLimited, None),
        (400, "com.amazonaws.sms#ThrottlingException:http://internal/", {}, RateLimited, None),
        (503, "ThrottlingException", {}, RateLimited, None),
        (400, "UnrecognizedClientException", {}, CredentialsRefused, None),
        (400, "ExpiredTokenException", {}, CredentialsRefused, None),
        (403, "InvalidSignatureException", {}, CredentialsRefused, None),
        (403, "SomethingNew", {}, AccountRefused, None),
        (402, "", {}, OutOfCredit, None),
        (400, "SomethingNew", {}, Refused, "aws_something_new"),
        (400, f"number {TO}", {}, Refused, "provider_refused"),
        (404, "", {}, Refused, "provider_refused"),
        (500, "InternalServerException", {}, OutcomeUnknown, None),
        (503, "ServiceUnavailableException", {}, Unavailable, None),
        (503, "", {}, OutcomeUnknown, None),
        (502, "ServiceUnavailableException", {}, OutcomeUnknown, None),
    ],
)
def test_the_name_and_the_reason_decide_the_error(  # noqa: PLR0917 (a table)
    carrier: FakeCarrier, status: int, name: str, more: dict[str, Any], kind: type[SendError], error_code: str | None
) -> None:
    carrier.play = answer(status, {"__type": name, "Message": f"The number {TO} is wrong", **more})

    with pytest.raises(SendError) as caught:
        send(carrier)

    assert (type(caught.value), caught.value.error_code) == (kind, error_code or kind.code)
    assert TO not in caught.value.detail + caught.value.error_code


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff"])
def test_an_error_without_a_readable_body_is_judged_by_its_status(carrier: FakeCarrier, body: bytes) -> None:
    carrier.play = answer(400, body)

    with pytest.raises(Refused) as caught:
        send(carrier)

    assert caught.value.error_code == "provider_refused"


def test_the_name_of_an_error_may_be_in_a_header(carrier: FakeCarrier) -> None:
    carrier.play = answer(400, b"", {"x-amzn-ErrorType": "ThrottlingException:http://internal/", "Retry-After": "3"})

    with pytest.raises(RateLimited) as caught:
        send(carrier)

    assert caught.value.retry_after == 3


@pytest.mark.parametrize(
    "change",
    [
        {"region": "eu-west-1.evil.example/"},
        {"region": None},
        {"access_key_id": "a b"},
        {"secret_access_key": "written-down"},
        {"session_token": "written-down"},
        {"configuration_set": "a b"},
        {"message_type": "MARKETING"},
        {"max_price": "0,5"},
        {"max_price": 0.5},
        {"topic_arns": ["arn:aws:sqs:eu-west-1:123456789012:queue"]},
        {"topic_arns": ["arn:aws:sns:eu-west-1:123456789012:events.fifo"]},
        {"endpoint_url": "ftp://carrier.example"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_an_invalid_configuration_is_refused(change: dict[str, Any]) -> None:
    config = {**ACCOUNT, "secret_access_key": {"env": "AWS_SECRET"}, "topic_arns": [TOPIC], "max_price": ".50"}
    AwsConfig.model_validate(config, context=STORED)

    with pytest.raises(ValidationError) as caught:
        AwsConfig.model_validate({**config, **change}, context=STORED)

    assert "written-down" not in str(caught.value)


def test_a_session_token_that_no_header_can_carry_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured) as caught:
        make(session_token="tokén\n")

    assert "tokén" not in str(caught.value)


def test_an_account_without_topics_takes_no_callbacks() -> None:
    with closing(make()) as without, closing(make(topic_arns=[TOPIC])) as with_topics:
        assert (without.capabilities.callbacks, with_topics.capabilities.callbacks) == (False, True)
