"""ClickSend: JSON, the outcome of each message at 200, receipts and replies as forms, queries or JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import CredentialsRefused, RateLimited, RecipientInvalid, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal

RECEIPT = {
    "timestamp_send": "1442381791",
    "timestamp": "1442381792",
    "status_code": "201",
    "status_text": "made up",
    "error_code": "",
    "error_text": "",
    "custom_string": REFERENCE,
    "message_type": "sms",
}


def message(status: str, message_id: str = "id-1") -> Play:
    result = {"direction": "out", "to": TO, "message_id": message_id, "message_parts": 1, "status": status}
    data = {"total_price": 0.0792, "total_count": 1, "queued_count": 1, "messages": [result]}
    return answer(200, {"http_code": 200, "response_code": "SUCCESS", "response_msg": "made up", "data": data})


class TestClickSend(PresetContract):
    preset = "clicksend"
    environment: ClassVar[Mapping[str, str]] = {"CLICKSEND_USERNAME": "made", "CLICKSEND_API_KEY": "up"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "200": ReportedStatus.SENT,
        "201": ReportedStatus.DELIVERED,
        "300": ReportedStatus.PROGRESS,
        "301": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return message("SUCCESS", ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        assert (request.method, request.target) == ("POST", "/v3/sms/send")
        assert request.headers["authorization"] == "Basic bWFkZTp1cA=="
        [single] = request.json()["messages"]
        assert (single.pop("source"), single.pop("custom_string")) == ("switchboard", REFERENCE)
        return {"to": single.pop("to"), "text": single.pop("body"), "from": single.pop("from", None), **single}

    def refusals(self) -> Sequence[Refusal]:
        bad = {"http_code": 400, "response_code": "BAD_REQUEST", "response_msg": "made up", "data": None}
        return [
            Refusal(answer(401, {"http_code": 401, "response_code": "UNAUTHORIZED"}), CredentialsRefused),
            Refusal(answer(400, bad), Refused, "BAD_REQUEST"),
            Refusal(message("INVALID_RECIPIENT"), RecipientInvalid, "INVALID_RECIPIENT"),
            Refusal(message("INSUFFICIENT_CREDIT"), CredentialsRefused, "INSUFFICIENT_CREDIT"),
            Refusal(message("MADE_UP"), Refused, "MADE_UP"),
            Refusal(answer(429, {"response_code": "TOO_MANY_REQUESTS"}), RateLimited),
            Refusal(answer(500, {"response_code": "INTERNAL_SERVER_ERROR"}), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return Callback({**RECEIPT, "message_id": message_id, "status_code": status})

    def reply(self, text: str) -> Callback:
        form = {"timestamp": "1436174407", "from": TO, "to": SENDER, "body": text, "message_id": "in-1"}
        return Callback({**form, "original_body": "made up", "original_message_id": "id-1", "custom_string": REFERENCE})

    @pytest.mark.parametrize("webhook_type", ["post", "get", "json"])
    def test_a_receipt_of_every_webhook_type_repeats_our_reference(
        self, parser: CallbackParser, webhook_type: str
    ) -> None:
        content = {**RECEIPT, "message_id": "id-1"}
        callback = {
            "post": Callback(content),
            "get": Callback(query=content, method="GET"),
            "json": Callback(json.dumps({**content, "status_code": 201, "error_code": None}).encode()),
        }[webhook_type]

        [report] = parser.parse_status(self.request(callback, kind="status", attempt_id=""))

        assert (report.reference, report.status) == (REFERENCE, ReportedStatus.DELIVERED)
