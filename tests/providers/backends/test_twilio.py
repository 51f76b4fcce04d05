"""What only Twilio does: its requests, its codes and its statuses."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from providers.backends.twilio import TwilioBackend, TwilioConfig
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.config_types import STORED
from providers.contract.lookup import StatusQuery
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Timeouts
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    MalformedCallback,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from tests.contract.fake_carrier import FakeCarrier, answer

CONTEXT = BackendContext(slug="tw", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
TO = "+14155550123"
TEXT = OutboundMessage(to=TO, text="Hello", sender=None, reference="message-1")
ACCOUNT = {"account_sid": "AC00", "auth_token": "t0ken", "from_number": "+14155550100"}


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        carrier.play = answer(201, {"sid": "SM1"})
        yield carrier


def make(**config: Any) -> TwilioBackend:
    return TwilioBackend(TwilioConfig.model_validate({**ACCOUNT, **config}), CONTEXT)


def send(carrier: FakeCarrier, text: OutboundMessage = TEXT, **config: Any) -> Accepted:
    with closing(make(**{"api_base_url": carrier.url, **config})) as backend:
        return backend.send(text)


def callback(**fields: str) -> CallbackRequest:
    return CallbackRequest(url="https://sms.example.org/", headers={}, body=urlencode(fields).encode())


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
        (403, None, AccountRefused, "provider_credentials_refused"),
        (429, 20429, RateLimited, "provider_rate_limited"),
        (400, 20429, RateLimited, "provider_rate_limited"),
        (404, 20404, Unavailable, "twilio_20404"),
        (403, 20008, Unavailable, "twilio_20008"),
        (400, 21606, Unavailable, "twilio_21606"),
        *((400, code, Refused, f"twilio_{code}") for code in (21408, 21608, 21612, 21704)),
        (400, 21617, Rejected, "twilio_21617"),
        (400, 21602, Rejected, "twilio_21602"),
        (400, None, Refused, "provider_refused"),
        (400, "21211 for +14155550123", Refused, "provider_refused"),
        (500, 20500, OutcomeUnknown, "outcome_unknown"),
        (503, None, OutcomeUnknown, "outcome_unknown"),
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
    ("word", "error_code", "status"),
    [
        ("queued", "", ReportedStatus.PROGRESS),
        ("accepted", "", ReportedStatus.PROGRESS),
        ("scheduled", "", ReportedStatus.PROGRESS),
        ("sending", "", ReportedStatus.PROGRESS),
        ("sent", "", ReportedStatus.SENT),
        ("delivered", "", ReportedStatus.DELIVERED),
        ("delivered", "30005", ReportedStatus.DELIVERED),
        ("read", "", ReportedStatus.DELIVERED),
        ("undelivered", "", ReportedStatus.UNDELIVERED),
        ("undelivered", "30003", ReportedStatus.UNDELIVERED),
        ("undelivered", "30005", ReportedStatus.INVALID),
        ("undelivered", "30006", ReportedStatus.INVALID),
        ("undelivered", "21610", ReportedStatus.OPTED_OUT),
        ("failed", "", ReportedStatus.FAILED),
        ("failed", "30001", ReportedStatus.FAILED),
        ("failed", "30004", ReportedStatus.UNDELIVERED),
        ("failed", "30007", ReportedStatus.UNDELIVERED),
        ("failed", "30008", ReportedStatus.UNDELIVERED),
        ("failed", "21614", ReportedStatus.INVALID),
        ("failed", "21211", ReportedStatus.INVALID),
        ("canceled", "", ReportedStatus.CANCELED),
        ("exploded", "30005", ReportedStatus.UNRECOGNIZED),
    ],
)
def test_status_and_code_of_a_receipt_decide_its_meaning(word: str, error_code: str, status: ReportedStatus) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": word} | ({"ErrorCode": error_code} if error_code else {})

    assert make().parse_status(callback(**fields)) == (StatusReport("SM1", status, word, error_code),)


def test_the_older_names_of_a_receipts_fields_are_understood() -> None:
    [report] = make().parse_status(callback(SmsSid="SM1", SmsStatus="sent"))

    assert report == StatusReport("SM1", ReportedStatus.SENT, "sent")


def test_an_incoming_text_may_have_media() -> None:
    [inbound] = make().parse_inbound(
        callback(
            MessageSid="MM1", From=TO, To="+2", Body="", NumMedia="2", MediaUrl0="https://a/0", MediaUrl1="https://a/1"
        )
    )

    assert (inbound.text, inbound.media_urls) == ("", ("https://a/0", "https://a/1"))


@pytest.mark.parametrize(
    "change",
    [
        {"NumMedia": "1"},
        {"NumMedia": "-1"},
        {"NumMedia": "many"},
        {"NumMedia": "11"},
        {"NumMedia": "1", "MediaUrl0": "file:///etc/passwd"},
        {"MessageSid": "x" * 129},
    ],
)
def test_an_invalid_incoming_message_is_malformed(change: dict[str, str]) -> None:
    fields = {"MessageSid": "SM1", "From": TO, "To": "+2", "Body": "hi", **change}

    with pytest.raises(MalformedCallback):
        make().parse_inbound(callback(**fields))


@pytest.mark.parametrize(
    "change",
    [
        {"account_sid": "../AC"},
        {"account_sid": ""},
        {"auth_token": "literal"},
        {"auth_token": None},
        {"from_number": None},
        {"api_base_url": "https://user:word@carrier.example"},
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


class TestStatusLookup:
    """Twilio keeps no reference of ours: recipient, sender, text and time have to match."""

    QUERY = StatusQuery(
        to=TO,
        text="Hello",
        sender="+14155550100",
        reference="message-1",
        called_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )

    @staticmethod
    def found(**values: Any) -> dict[str, Any]:
        return {
            "sid": "SM1",
            "status": "delivered",
            "body": "Hello",
            "direction": "outbound-api",
            "error_code": None,
            "date_created": "Sun, 22 Nov 2026 09:00:03 +0000",
            "date_sent": None,
            **values,
        }

    def fetch_status(self, carrier: FakeCarrier, *rows: dict[str, Any]) -> tuple[StatusReport, ...]:
        page = {"messages": list(rows), "page_size": 20, "page": 0, "next_page_uri": None}
        carrier.play = answer(200, page)
        with closing(make(api_base_url=carrier.url)) as backend:
            assert backend.capabilities.status_lookup
            return backend.fetch_status(self.QUERY)

    def test_it_asks_by_recipient_sender_and_time(self, carrier: FakeCarrier) -> None:
        self.fetch_status(carrier)

        request = carrier.received[0]
        assert request.method == "GET"
        assert request.query() == {
            "To": [TO],
            "From": ["+14155550100"],
            "DateSent>": ["2026-11-22T08:58:00Z"],
            "PageSize": ["20"],
        }

    @pytest.mark.parametrize(
        ("row", "report"),
        [
            ({}, StatusReport("SM1", status=ReportedStatus.DELIVERED, raw_status="delivered")),
            ({"status": "queued"}, StatusReport("SM1", status=ReportedStatus.PROGRESS, raw_status="queued")),
            (
                {"status": "failed", "error_code": 30005},
                StatusReport("SM1", status=ReportedStatus.INVALID, raw_status="failed", error_code="30005"),
            ),
        ],
        ids=["delivered", "busy", "invalid"],
    )
    def test_a_message_that_matches_is_reported_like_a_receipt(self, carrier: FakeCarrier, row, report) -> None:
        assert self.fetch_status(carrier, self.found(**row)) == (report,)

    @pytest.mark.parametrize(
        "row",
        [
            {"body": "Hello again"},
            {"direction": "inbound"},
            {"date_created": "Sun, 22 Nov 2026 09:02:01 +0000"},
            {"date_created": None},
            {"sid": None},
        ],
        ids=str,
    )
    def test_a_message_that_does_not_match_is_left_out(self, carrier: FakeCarrier, row) -> None:
        assert self.fetch_status(carrier, self.found(**row)) == ()

    def test_all_messages_that_match_are_reported(self, carrier: FakeCarrier) -> None:
        assert [
            each.provider_message_id for each in self.fetch_status(carrier, self.found(), self.found(sid="SM2"))
        ] == [
            "SM1",
            "SM2",
        ]

    @pytest.mark.parametrize(
        ("play", "error"),
        [
            (answer(401, {"code": 20003}), CredentialsRefused),
            (answer(429, {}), RateLimited),
            (answer(500, {}), OutcomeUnknown),
            (answer(200, b"<html>"), OutcomeUnknown),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_a_lookup_that_fails_is_an_error_of_the_catalogue(self, carrier: FakeCarrier, play, error) -> None:
        carrier.play = play
        with closing(make(api_base_url=carrier.url)) as backend, pytest.raises(error):
            backend.fetch_status(self.QUERY)
