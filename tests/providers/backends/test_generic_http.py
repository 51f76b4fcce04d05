"""What only `generic_http` does: requests by configuration, and responses that become results."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from providers.backends.generic_http import GenericHttpBackend
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Timeouts
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    MalformedCallback,
    NoMessageId,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Rejected,
    SendError,
    Unavailable,
)
from tests.contract.fake_carrier import FakeCarrier, answer

CONTEXT = BackendContext(slug="acme", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
TEXT = OutboundMessage(
    to="+14155550123",
    text="Hello & welcome",
    sender=None,
    reference="message-1",
    callback_url="https://sms.example.org/webhooks/acme/status/?token=t",
)
EVERY_FIELD = {
    "to": "to",
    "message": "message",
    "from": "from",
    "callback_url": "callback",
    "media": "media",
    "id": "reference",
}


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        carrier.play = answer(200, {"message_id": "m-1"})
        yield carrier


def send(carrier: FakeCarrier, text: OutboundMessage = TEXT, **config: Any) -> Accepted:
    with closing(make(url=f"{carrier.url}/send", **config)) as backend:
        return backend.send(text)


def make(**config: Any) -> GenericHttpBackend:
    complete = {"url": "http://127.0.0.1/send", **config}
    return GenericHttpBackend(GenericHttpBackend.Config.model_validate(complete), CONTEXT)


def callback(content: Any, content_type: str = "application/json") -> CallbackRequest:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return CallbackRequest(url="https://sms.example.org/", headers={"content-type": content_type}, body=body)


# --- known carriers, by configuration alone ------------------------------------------------------------------------------


def test_the_two_provider_carrier_works_by_configuration(carrier: FakeCarrier) -> None:
    carrier.play = answer(200, {"message_id": "m-1"})
    fields = {"to": "to_number", "callback_url": "callback_url"}

    accepted = send(carrier, fields=fields)

    assert accepted == Accepted("m-1")
    assert carrier.received[0].method == "POST"
    assert carrier.received[0].headers["content-type"] == "application/json"
    assert carrier.received[0].json() == {
        "to_number": TEXT.to,
        "message": TEXT.text,
        "callback_url": TEXT.callback_url,
    }


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("delivered", ReportedStatus.DELIVERED),
        ("failed", ReportedStatus.UNDELIVERED),
        ("invalid", ReportedStatus.INVALID),
    ],
)
def test_the_statuses_of_the_default_table_are_understood(word: str, status: ReportedStatus) -> None:
    [report] = make().parse_status(callback({"status": word, "message_id": "m-1"}))

    assert report == StatusReport("m-1", status, word)


def test_the_two_provider_carriers_500_is_provably_not_accepted(carrier: FakeCarrier) -> None:
    carrier.play = answer(500, {"error": "try again"})

    with pytest.raises(Unavailable) as caught:
        send(carrier)

    assert caught.value.error_code == "provider_unavailable"


def test_the_webhook_site_carrier_works_by_configuration(carrier: FakeCarrier) -> None:
    carrier.play = answer(202, {"message": "Accepted", "messageId": "67f2f8a8"})

    accepted = send(carrier, fields={"message": "content"}, message_id="messageId", headers={"x-ins-auth-key": "k"})

    assert accepted == Accepted("67f2f8a8")
    assert carrier.received[0].json() == {"to": TEXT.to, "content": TEXT.text}
    assert carrier.received[0].headers["x-ins-auth-key"] == "k"


# --- requests ------------------------------------------------------------------------------------------------------------


def test_only_the_fields_that_have_a_value_are_sent(carrier: FakeCarrier) -> None:
    send(carrier, OutboundMessage("+1415", "hi", None, "message-1"), fields=EVERY_FIELD, constants={"channel": "sms"})

    assert carrier.received[0].json() == {
        "channel": "sms",
        "to": "+1415",
        "message": "hi",
        "reference": "message-1",
    }


def test_the_accounts_number_is_used_where_the_message_names_no_sender(carrier: FakeCarrier) -> None:
    send(carrier, fields=EVERY_FIELD, from_number="+14155550100")
    send(carrier, OutboundMessage("+1415", "hi", "ACME", "m"), fields=EVERY_FIELD, from_number="+14155550100")

    assert [request.json()["from"] for request in carrier.received] == ["+14155550100", "ACME"]


def test_a_form_carries_the_fields_and_each_medium(carrier: FakeCarrier) -> None:
    text = OutboundMessage("+1415", "é&=", None, "m", media_urls=("https://a/1", "https://a/2"))

    send(carrier, text, fields=EVERY_FIELD, format="form", constants={"flash": True, "ttl": 5})

    assert carrier.received[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert carrier.received[0].form() == {
        "flash": ["true"],
        "ttl": ["5"],
        "to": ["+1415"],
        "message": ["é&="],
        "media": ["https://a/1", "https://a/2"],
        "reference": ["m"],
    }


def test_get_puts_the_fields_into_the_query(carrier: FakeCarrier) -> None:
    send(carrier, method="GET", constants={"user": "acme"})

    assert (carrier.received[0].method, carrier.received[0].body) == ("GET", b"")
    assert carrier.received[0].query() == {"user": ["acme"], "to": [TEXT.to], "message": [TEXT.text]}


def test_the_idempotency_header_carries_the_messages_id(carrier: FakeCarrier) -> None:
    send(carrier, idempotency_header="Idempotency-Key")

    assert carrier.received[0].headers["idempotency-key"] == "message-1"


@pytest.mark.parametrize(("fields", "supports_media"), [({}, False), ({"media": "media_urls"}, True)])
def test_media_are_supported_where_they_have_a_field(fields: dict[str, str], supports_media: bool) -> None:
    with closing(make(fields=fields)) as backend:
        assert backend.capabilities.media is supports_media


def test_a_text_that_no_form_can_hold_is_rejected_before_anything_is_sent(carrier: FakeCarrier) -> None:
    with pytest.raises(Rejected) as caught:
        send(carrier, OutboundMessage("+1415", "half \ud83d", None, "m"), format="form")

    assert caught.value.error_code == "text_not_encodable"
    assert carrier.received == []


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"type": "basic", "username": "acme", "password": "k:1"}, "Basic YWNtZTprOjE="),
        ({"type": "bearer", "token": "t-1"}, "Bearer t-1"),
    ],
)
def test_a_call_carries_the_accounts_credentials(carrier: FakeCarrier, auth: dict[str, str], header: str) -> None:
    send(carrier, auth=auth, headers={"X-Team": "sms"})

    assert carrier.received[0].headers["authorization"] == header
    assert carrier.received[0].headers["x-team"] == "sms"


def test_a_token_that_has_ended_is_fetched_once_more(carrier: FakeCarrier) -> None:
    def play(playing: FakeCarrier, connection: socket.socket) -> None:
        request = playing.received[-1]
        if request.target == "/token":
            tokens = sum(each.target == "/token" for each in playing.received)
            answer(200, {"access_token": f"t{tokens}", "token_type": "Bearer", "expires_in": 3600})(playing, connection)
        elif request.headers["authorization"] == "Bearer t1":
            answer(401)(playing, connection)
        else:
            answer(200, {"message_id": "m-1"})(playing, connection)

    carrier.play = play
    auth = {"type": "oauth2", "token_url": f"{carrier.url}/token", "client_id": "id", "client_secret": "secret"}

    assert send(carrier, auth=auth) == Accepted("m-1")
    assert [request.target for request in carrier.received] == ["/token", "/send", "/token", "/send"]


# --- responses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "message_id"),
    [
        ("data.id", {"data": {"id": 17}}, "17"),
        ("messages.0.messageId", {"messages": [{"messageId": "a"}]}, "a"),
        ("data.id", {"data.id": "flat"}, "flat"),
    ],
)
def test_the_id_is_found_at_its_path(carrier: FakeCarrier, path: str, body: Any, message_id: str) -> None:
    carrier.play = answer(200, body)

    assert send(carrier, message_id=path) == Accepted(message_id)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("messages.1.messageId", 200, {"messages": [{"messageId": "a"}]}),
        ("messages.0.message-id", 200, {"messages": [{"status": "4"}]}),
        ("data.id", 200, {"data": "text"}),
        ("id", 200, {"success": False}),
        ("id", 201, {"statusCode": 403, "id": "None"}),
        ("id", 202, []),
    ],
)
def test_an_accepting_status_without_the_id_is_unknown_and_logs_a_hint(
    carrier: FakeCarrier, caplog: pytest.LogCaptureFixture, path: str, status: int, body: Any
) -> None:
    carrier.play = answer(status, body)

    with pytest.raises(NoMessageId) as caught:
        send(carrier, message_id=path)

    assert (caught.value.error_code, len(carrier.received)) == ("no_message_id", 1)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "set message_id to null" in record.getMessage()


def test_a_response_without_an_id_by_configuration_need_not_be_json(carrier: FakeCarrier) -> None:
    carrier.play = answer(200, b"OK: sent")

    assert send(carrier, message_id=None) == Accepted("")


@pytest.mark.parametrize(
    ("status", "config", "kind", "code"),
    [
        *((status, {}, Refused, "provider_refused") for status in (400, 404, 408, 413, 422, 499)),
        (401, {}, CredentialsRefused, "provider_credentials_refused"),
        (402, {}, OutOfCredit, "provider_credit"),
        (403, {}, AccountRefused, "provider_credentials_refused"),
        (403, {"rejected": {"403": "blocked"}}, Rejected, "blocked"),
        (401, {"unavailable": [401]}, Unavailable, "provider_unavailable"),
        (422, {"rejected": {"422": "recipient_invalid"}}, RecipientInvalid, "recipient_invalid"),
        (422, {"rejected": {"422": "recipient_opted_out"}}, RecipientOptedOut, "recipient_opted_out"),
        (422, {"rejected": {"422": "text_too_long"}}, Rejected, "text_too_long"),
        (429, {}, RateLimited, "provider_rate_limited"),
        (429, {"unavailable": [500]}, RateLimited, "provider_rate_limited"),
        (429, {"unavailable": []}, RateLimited, "provider_rate_limited"),
        (429, {"rejected": {"429": "too_many"}, "unavailable": [500]}, Rejected, "too_many"),
        (503, {}, Unavailable, "provider_unavailable"),
        (500, {}, Unavailable, "provider_unavailable"),
        (500, {"unavailable": [503]}, OutcomeUnknown, "outcome_unknown"),
        *((status, {}, OutcomeUnknown, "outcome_unknown") for status in (502, 504, 520, 521, 522, 523, 524)),
        (502, {"unavailable": [502]}, Unavailable, "provider_unavailable"),
        (501, {}, OutcomeUnknown, "outcome_unknown"),
        (409, {}, Refused, "provider_refused"),
        (409, {"idempotency_header": "Idempotency-Key"}, OutcomeUnknown, "outcome_unknown"),
        (409, {"idempotency_header": "Key", "rejected": {"409": "twice"}}, Rejected, "twice"),
        (204, {}, NoMessageId, "no_message_id"),
        (299, {}, NoMessageId, "no_message_id"),
        (202, {"accepted": [200]}, OutcomeUnknown, "outcome_unknown"),
        (301, {}, OutcomeUnknown, "outcome_unknown"),
    ],
)
def test_the_configuration_decides_the_meaning_of_a_status(
    carrier: FakeCarrier, status: int, config: dict[str, Any], kind: type[SendError], code: str
) -> None:
    carrier.play = answer(status, b"" if status == 204 else b"no")

    with pytest.raises(SendError) as caught:
        send(carrier, **config)

    assert (type(caught.value), caught.value.error_code) == (kind, code)


def test_retry_after_is_passed_on(carrier: FakeCarrier) -> None:
    carrier.play = answer(503, b"", {"Retry-After": "30"})

    with pytest.raises(Unavailable) as caught:
        send(carrier)

    assert caught.value.retry_after == 30


# --- callbacks -----------------------------------------------------------------------------------------------------------


def test_a_receipt_is_read_at_the_configured_paths() -> None:
    status = {
        "message_id": "data.id",
        "status": "data.state",
        "error_code": "data.error",
        "values": {"DELIVRD": "delivered", "REJECTD": "failed", "ENROUTE": "progress"},
    }

    [report] = make(status=status).parse_status(callback({"data": {"id": 5, "state": "REJECTD", "error": 301}}))

    assert report == StatusReport("5", ReportedStatus.FAILED, "REJECTD", "301")


def test_an_incoming_message_with_media_needs_no_text() -> None:
    [inbound] = make().parse_inbound(callback({"from": "+1", "to": "+2", "media": ["https://a/1.jpg"]}))

    assert (inbound.text, inbound.media_urls, inbound.provider_message_id) == ("", ("https://a/1.jpg",), "")


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": 5},
        {"message": "half \ud83d"},
        {"from": {"a": 1}},
        {"id": ["a"]},
        {"id": "x" * 129},
    ],
)
def test_an_invalid_incoming_message_is_malformed(change: dict[str, Any]) -> None:
    content = {"id": "i", "from": "+1", "to": "+2", "message": "hi", **change}

    with pytest.raises(MalformedCallback):
        make().parse_inbound(callback(content))
