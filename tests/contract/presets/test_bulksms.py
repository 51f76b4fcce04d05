"""BulkSMS: JSON, an error within a list of messages at 201, receipts and replies in lists at the top."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import AccountRefused, CredentialsRefused, RecipientOptedOut, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal, json_callback

ERRORS = "https://developer.bulksms.com/json/v1/errors#"


def message(message_id: str, kind: str, subtype: str | None = None) -> dict[str, Any]:
    status = {"id": f"{kind}.{subtype or 'null'}", "type": kind, "subtype": subtype}
    return {
        "id": message_id,
        "type": "SENT",
        "from": SENDER[1:],
        "to": TO[1:],
        "body": "made up",
        "encoding": "TEXT",
        "status": {name: value for name, value in status.items() if value is not None},
        "submission": {"id": "1-00000000000522347562", "date": "2026-10-06T12:00:00Z"},
    }


class TestBulkSms(PresetContract):
    preset = "bulksms"
    environment: ClassVar[Mapping[str, str]] = {"BULKSMS_TOKEN_ID": "made", "BULKSMS_TOKEN_SECRET": "up"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "ACCEPTED": ReportedStatus.PROGRESS,
        "SCHEDULED": ReportedStatus.PROGRESS,
        "SENT": ReportedStatus.SENT,
        "DELIVERED": ReportedStatus.DELIVERED,
        "UNKNOWN": ReportedStatus.PROGRESS,
        "FAILED": ReportedStatus.UNDELIVERED,
    }
    has_batches = True

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(201, [message(ids[0], "ACCEPTED")])

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/v1/messages")
        assert request.headers["authorization"] == "Basic bWFkZTp1cA=="
        text = body.pop("body")
        assert body.pop("encoding") == ("UNICODE" if "👋" in text else "TEXT")
        assert body.pop("longMessageMaxParts") == 1
        sender = body.pop("from", None)
        return {"to": f"+{body.pop('to')}", "text": text, "from": sender and f"+{sender}", **body}

    def refusals(self) -> Sequence[Refusal]:
        credit = {"status": 403, "title": "Insufficient Credits", "type": f"{ERRORS}insufficient-credits"}
        bad = {"status": 400, "title": "Bad Request", "type": f"{ERRORS}bad-request", "detail": "made up"}
        return [
            Refusal(answer(401, {"status": 401}), CredentialsRefused),
            Refusal(answer(403, credit), CredentialsRefused),
            Refusal(answer(403, {"status": 403, "type": f"{ERRORS}forbidden"}), AccountRefused),
            Refusal(answer(400, bad), Refused),
            Refusal(answer(201, [message("id-1", "FAILED", "BLOCKED")]), RecipientOptedOut, "FAILED.BLOCKED"),
            Refusal(answer(201, [message("id-1", "FAILED", "NOT_SENT")]), Refused, "FAILED.NOT_SENT"),
            Refusal(answer(503, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        return json_callback([message(message_id, status) for message_id, status in reports])

    def reply(self, text: str) -> Callback:
        received = {**message("in-1", "DELIVERED"), "type": "RECEIVED", "from": TO[1:], "to": SENDER[1:], "body": text}
        return json_callback([{**received, "relatedSentMessageId": "id-1"}])

    @pytest.mark.parametrize(
        ("subtype", "status"),
        [
            ("EXPIRED", ReportedStatus.UNDELIVERED),
            ("HANDSET_ERROR", ReportedStatus.UNDELIVERED),
            ("NOT_SENT", ReportedStatus.UNDELIVERED),
            ("BLOCKED", ReportedStatus.OPTED_OUT),
        ],
    )
    def test_the_kind_of_a_failure_is_read(self, parser: CallbackParser, subtype: str, status: ReportedStatus) -> None:
        request = self.request(json_callback([message("id-1", "FAILED", subtype)]), kind="status")

        [report] = parser.parse_status(request)

        assert (report.status, report.error_code) == (status, subtype)

    @pytest.mark.parametrize("kind", ["status", "inbound"])
    def test_the_empty_list_that_tests_a_webhook_is_accepted(self, parser: CallbackParser, kind: str) -> None:
        request = self.request(json_callback([]), kind=kind, attempt_id="")

        parser.verify(request)

        assert (parser.parse_status(request), parser.parse_inbound(request)) == ((), ())
