"""What only AWS's callbacks have: its events, and the handshake of a subscription."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from providers.backends.aws import AwsBackend, AwsConfig
from providers.backends.aws_codes import EVENTS
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.prices import CarrierPrice
from providers.errors import InvalidSignature, MalformedCallback, VerificationUnavailable
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.contract.sns import CONFIRM_URL, ORIGIN, TOPIC, FakeSns, Signer, changed
from tests.providers.backends.test_aws import ACCOUNT, CONTEXT, TO

# As AWS documents it.
EVENT = {
    "eventType": "TEXT_SUCCESSFUL",
    "eventVersion": "1.0",
    "eventTimestamp": 1686975103470,
    "isFinal": False,
    "originationPhoneNumber": "+12065550152",
    "destinationPhoneNumber": TO,
    "messageId": "id-1",
    "messageStatus": "SUCCESSFUL",
    "messageStatusDescription": "Message has been accepted by phone carrier",
    "context": {"switchboard": "message-1"},
    "totalMessageParts": 1,
    "totalMessagePrice": 0.09582,
    "totalCarrierFee": 0.0,
}


@pytest.fixture
def sns() -> Iterator[FakeSns]:
    with closing(FakeSns()) as sns:
        yield sns


@pytest.fixture
def backend(sns: FakeSns) -> Iterator[AwsBackend]:
    with closing(AwsBackend(AwsConfig.model_validate({**ACCOUNT, "topic_arns": [TOPIC]}), CONTEXT, sns.fetch)) as aws:
        yield aws


def request(message: Any = "", **fields: str) -> CallbackRequest:
    body = Signer().body(message if isinstance(message, str) else json.dumps(message), **fields)
    return CallbackRequest(url="https://sms.example.org/", headers={}, body=body)


@pytest.mark.parametrize(
    ("event_type", "is_final", "status"),
    [
        *((event_type, False, status) for event_type, status in EVENTS.items()),
        ("TEXT_SUCCESSFUL", True, ReportedStatus.DELIVERED),
        ("TEXT_UNKNOWN", True, ReportedStatus.PROGRESS),
        ("TEXT_SENT", True, ReportedStatus.SENT),
        ("VOICE_ANSWERED", True, ReportedStatus.UNRECOGNIZED),
    ],
)
def test_the_type_of_an_event_decides_its_meaning(
    backend: AwsBackend, event_type: str, is_final: bool, status: ReportedStatus
) -> None:
    received = request({**EVENT, "eventType": event_type, "isFinal": is_final})

    price = CarrierPrice(Decimal("0.09582"))
    expected = StatusReport("id-1", status, event_type, reference="message-1", price=price)
    assert backend.parse_status(received) == (expected,)


def test_every_meaning_of_the_documented_events_is_listed() -> None:
    meanings = {event: status.value for event, status in EVENTS.items()}

    assert {event for event, meaning in meanings.items() if meaning == "delivered"} == {"TEXT_DELIVERED"}
    assert {event for event, meaning in meanings.items() if meaning == "invalid"} == {"TEXT_INVALID"}
    assert {event for event, meaning in meanings.items() if meaning == "sent"} == {"TEXT_SENT", "TEXT_SUCCESSFUL"}
    assert {event for event, meaning in meanings.items() if meaning == "undelivered"} == {
        "TEXT_UNREACHABLE",
        "TEXT_CARRIER_UNREACHABLE",
        "TEXT_BLOCKED",
        "TEXT_CARRIER_BLOCKED",
        "TEXT_SPAM",
        "TEXT_TTL_EXPIRED",
    }


@pytest.mark.parametrize("context", [None, {}, [], {"switchboard": 1.5}, {"other": "x"}])
def test_an_event_without_our_reference_is_matched_by_its_id(backend: AwsBackend, context: Any) -> None:
    [report] = backend.parse_status(request({**EVENT, "context": context}))

    assert (report.provider_message_id, report.reference) == ("id-1", "")


def test_a_text_may_name_no_recipient(backend: AwsBackend) -> None:
    content = {"originationNumber": TO, "messageBody": "STOP", "inboundMessageId": "in-1"}

    [inbound] = backend.parse_inbound(request(content))

    assert (inbound.sender, inbound.recipient, inbound.text) == (TO, "", "STOP")


@pytest.mark.parametrize(
    "change", [{"inboundMessageId": "x" * 129}, {"messageBody": None}, {"originationNumber": ["+1"]}], ids=str
)
def test_an_invalid_incoming_message_is_malformed(backend: AwsBackend, change: dict[str, Any]) -> None:
    content = {"originationNumber": TO, "messageBody": "hi", "inboundMessageId": "in-1", **change}

    with pytest.raises(MalformedCallback):
        backend.parse_inbound(request(content))


def test_what_a_callback_needs_of_sns_is_asked_over_the_accounts_own_connections(carrier: FakeCarrier) -> None:
    carrier.play = answer(200, b"a certificate")

    with closing(AwsBackend(AwsConfig.model_validate({**ACCOUNT, "topic_arns": [TOPIC]}), CONTEXT)) as backend:
        response = backend._sns._fetch(f"{carrier.url}/SimpleNotificationService-1.pem")

    assert (response.status, response.body) == (200, b"a certificate")
    assert "authorization" not in carrier.received[0].headers


class TestHandshake:
    """Both addresses confirm their own subscription."""

    @pytest.mark.parametrize("parse", ["parse_status", "parse_inbound"])
    def test_a_subscription_is_confirmed_and_brings_nothing(
        self, backend: AwsBackend, sns: FakeSns, parse: str
    ) -> None:
        received = request("You have chosen to subscribe", kind="SubscriptionConfirmation")

        backend.verify(received)

        assert getattr(backend, parse)(received) == ()
        assert [url for url in sns.asked if not url.endswith(".pem")] == [CONFIRM_URL]
        assert sns.server.received[-1].query() == {
            "Action": ["ConfirmSubscription"],
            "TopicArn": [TOPIC],
            "Token": ["2336412f37"],
        }

    def test_a_subscription_that_nobody_signed_is_never_confirmed(self, backend: AwsBackend, sns: FakeSns) -> None:
        received = request("x", kind="SubscriptionConfirmation")
        forged = CallbackRequest(url=received.url, headers={}, body=changed(received.body, Token="another"))

        with pytest.raises(InvalidSignature):
            backend.verify(forged)

        assert CONFIRM_URL not in sns.asked

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
            "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
            "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
            "https://user@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
            "https://sns.eu-west-1.amazonaws.com:8443/?Action=ConfirmSubscription&TopicArn=" + TOPIC,
            f"{ORIGIN}/?Action=ConfirmSubscription&TopicArn={TOPIC}-2",
            f"{ORIGIN}/?Action=Publish&TopicArn={TOPIC}",
            f"{ORIGIN}/",
            "",
        ],
    )
    def test_an_address_that_does_not_confirm_this_topic_is_never_asked(
        self, backend: AwsBackend, sns: FakeSns, url: str
    ) -> None:
        received = request("x", kind="SubscriptionConfirmation", SubscribeURL=url)

        backend.verify(received)
        with pytest.raises(MalformedCallback):
            backend.parse_status(received)

        assert [each for each in sns.asked if not each.endswith(".pem")] == []

    @pytest.mark.parametrize("status", [403, 500, 503])
    def test_a_confirmation_that_fails_is_repeated_by_sns(self, backend: AwsBackend, sns: FakeSns, status: int) -> None:
        sns.status = status

        with pytest.raises(VerificationUnavailable):
            backend.parse_status(request("x", kind="SubscriptionConfirmation"))

    def test_the_end_of_a_subscription_changes_nothing_and_is_logged(
        self, backend: AwsBackend, sns: FakeSns, caplog: pytest.LogCaptureFixture
    ) -> None:
        received = request("You have chosen to deactivate", kind="UnsubscribeConfirmation")

        with caplog.at_level(logging.WARNING):
            backend.verify(received)
            assert backend.parse_status(received) == ()

        assert [record.getMessage() for record in caplog.records] == [f"aws1: the subscription to {TOPIC} has ended"]
        assert CONFIRM_URL not in sns.asked  # the address in it subscribes again
