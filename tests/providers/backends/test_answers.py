"""What responses of carriers mean: an error inside a 200 never counts as sent."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pydantic import ValidationError

from providers.backends.answers import AnswerRule
from providers.backends.generic_http import GenericHttpBackend
from providers.contract.messages import Accepted, OutboundMessage
from providers.contract.sender import BackendContext, Timeouts
from providers.errors import (
    CredentialsRefused,
    NoMessageId,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    SendError,
    Unavailable,
)
from tests.contract.fake_carrier import FakeCarrier, answer

CONTEXT = BackendContext(slug="acme", callback_keys=("key",), timeouts=Timeouts(connect=1, read=1))
TEXT = OutboundMessage("+14155550123", "hello", None, "message-1")
PLAIN = {"Content-Type": "text/plain"}
VONAGE = [
    {"path": "messages.*.status", "in": ["0"], "outcome": "accepted"},
    {"path": "messages.0.status", "in": ["1"], "outcome": "rate_limited"},
    {"path": "messages.0.status", "in": ["4"], "outcome": "credentials"},
    {"path": "messages.0.status", "exists": True, "outcome": "rejected", "code": "messages.0.status"},
]
AFRICASTALKING = [
    {"path": "SMSMessageData.Recipients.0.statusCode", "in": [100, 101, 102], "outcome": "accepted"},
    {"path": "SMSMessageData.Recipients.0.statusCode", "in": [403], "outcome": "recipient_invalid"},
    {"path": "SMSMessageData.Recipients.0.statusCode", "in": [406], "outcome": "recipient_opted_out"},
    {"path": "SMSMessageData.Recipients.0", "exists": False, "outcome": "rejected"},
]
JASMIN = [
    {"status": [200], "text": "^Success", "outcome": "accepted"},
    {"status": [403], "text": "throughput", "outcome": "rate_limited"},
    {"status": [403], "text": "credit", "outcome": "unavailable"},
]


@pytest.fixture
def carrier() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as carrier:
        yield carrier


def send(carrier: FakeCarrier, **config: Any) -> Accepted:
    complete = GenericHttpBackend.Config.model_validate({"url": f"{carrier.url}/send", **config})
    with closing(GenericHttpBackend(complete, CONTEXT)) as backend:
        return backend.send(TEXT)


def _recipient(code: int, message_id: str) -> dict[str, Any]:
    return {"SMSMessageData": {"Recipients": [{"statusCode": code, "messageId": message_id}]}}


@pytest.mark.parametrize(
    ("rules", "status", "body", "kind"),
    [
        (VONAGE, 200, {"messages": [{"status": "4", "error-text": "bad"}]}, CredentialsRefused),
        (VONAGE, 200, {"messages": [{"status": "1"}]}, RateLimited),
        (VONAGE, 200, {"messages": [{"status": "6"}]}, Refused),
        (VONAGE, 200, {}, NoMessageId),
        (AFRICASTALKING, 201, _recipient(403, "None"), RecipientInvalid),
        (AFRICASTALKING, 201, _recipient(406, "None"), RecipientOptedOut),
        (AFRICASTALKING, 201, {"SMSMessageData": {"Recipients": [], "Message": "InvalidSenderId"}}, Refused),
        (AFRICASTALKING, 201, _recipient(501, "None"), NoMessageId),
        (JASMIN, 403, b'Error "User throughput exceeded"', RateLimited),
        (JASMIN, 403, b'Error "Cannot charge, credit"', Unavailable),
        ([{"path": "success", "in": [False], "outcome": "rejected"}], 200, {"success": False}, Refused),
        ([{"text": "^ERROR", "outcome": "unknown"}], 200, b"ERROR:14", OutcomeUnknown),
        ([{"path": "r.code", "in": ["7"], "outcome": "unavailable"}], 200, b"<r><code>7</code></r>", Unavailable),
        ([], 200, b"ERROR:14", NoMessageId),
        ([], 200, {"success": False}, NoMessageId),
        ([], 201, _recipient(403, "None"), NoMessageId),
    ],
)
def test_a_refusal_inside_a_response_of_2xx_is_never_sent(
    carrier: FakeCarrier, rules: list[dict[str, Any]], status: int, body: Any, kind: type[SendError]
) -> None:
    carrier.play = answer(status, body, PLAIN)

    with pytest.raises(SendError) as caught:
        send(carrier, answer=rules, message_id="messages.0.message-id")

    assert type(caught.value) is kind
    assert len(carrier.received) == 1


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_rule_without_a_status_does_not_fit_the_page_of_a_proxy(carrier: FakeCarrier, status: int) -> None:
    carrier.play = answer(status, {"error": "upstream"})
    rules = [
        {"path": "messages", "exists": False, "outcome": "rejected"},
        {"text": "upstream", "outcome": "unavailable"},
    ]

    with pytest.raises(SendError) as caught:
        send(carrier, answer=rules)

    assert type(caught.value) is (Unavailable if status == 500 else OutcomeUnknown)


def test_the_ids_of_all_parts_are_kept_and_one_accepted_part_is_sent(carrier: FakeCarrier) -> None:
    parts = [{"status": "0", "message-id": "a"}, {"status": "9", "message-id": ""}, {"status": "0", "message-id": "b"}]
    carrier.play = answer(200, {"messages": parts})

    accepted = send(carrier, answer=VONAGE, message_id="messages.*.message-id")

    assert accepted == Accepted("a", part_ids=("a", "b"))


@pytest.mark.parametrize(
    ("message_id", "body", "found"),
    [
        ({"text": r"ID: (\S+)"}, b"OK ID: 4711\r\n", "4711"),
        ({"text": r'^Success "([^"]+)"'}, b'Success "07033084-5cfd"', "07033084-5cfd"),
        ({"xml": "response/messageid"}, b"<response><messageid>88</messageid></response>", "88"),
        ("data.0.id", {"data": [{"id": 88}]}, "88"),
    ],
)
def test_the_id_is_found_in_any_kind_of_response(carrier: FakeCarrier, message_id: Any, body: Any, found: str) -> None:
    carrier.play = answer(200, body, PLAIN)

    assert send(carrier, message_id=message_id) == Accepted(found)


def test_an_accepting_rule_needs_no_id_and_outranks_the_status(carrier: FakeCarrier) -> None:
    carrier.play = answer(503, b"queued", PLAIN)

    accepted = send(carrier, answer=[{"status": [503], "text": "queued", "outcome": "accepted"}])

    assert accepted == Accepted("")


@pytest.mark.parametrize(
    ("given", "shown"), [("21610", True), ("E-40", True), (12, True), ("+14155550123", False), ("14155550123", False)]
)
def test_the_providers_own_code_is_kept_unless_it_looks_like_a_number(
    carrier: FakeCarrier, given: Any, shown: bool
) -> None:
    carrier.play = answer(400, {"error": {"code": given}})

    with pytest.raises(Refused) as caught:
        send(carrier, answer=[{"status": [400], "outcome": "rejected", "code": "error.code"}])

    assert (str(given) in caught.value.detail) is shown


@pytest.mark.parametrize(
    "rule",
    [
        {"outcome": "accepted"},
        {"status": [200], "outcome": "sent"},
        {"path": "a", "outcome": "accepted"},
        {"in": ["1"], "outcome": "accepted"},
        {"path": "a", "exists": "yes", "outcome": "accepted"},
        {"text": "(", "outcome": "accepted"},
        {"status": [200], "outcome": "accepted", "then": 1},
    ],
)
def test_a_rule_that_says_nothing_or_too_much_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AnswerRule.model_validate(rule)


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        ({"status": [200, 201]}, "status 200, 201"),
        ({"path": "a.0", "in": ["0", 5, True]}, 'a.0 in ["0", 5, true]'),
        ({"path": "a", "exists": False}, "a does not exist"),
        ({"status": [403], "text": "^no"}, "status 403 and text ^no"),
    ],
)
def test_staff_see_the_condition_that_decided(rule: dict[str, Any], condition: str) -> None:
    assert AnswerRule.model_validate({**rule, "outcome": "rejected"}).condition == condition
