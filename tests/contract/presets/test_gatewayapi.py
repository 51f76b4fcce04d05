"""GatewayAPI: JSON with numbers as numbers, error codes in hexadecimal, our reference in receipts."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import AccountRefused, CredentialsRefused, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal, json_callback


def error(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "incident_uuid": "d8127429-fa0c-4316-b1f2-e610c3958f43",
        "message": "made up",
        "variables": [],
    }


def report(**content: Any) -> dict[str, Any]:
    return {
        "id": "id-1",
        "msisdn": int(TO[1:]),
        "time": 1450000000,
        "userref": REFERENCE,
        "country_code": "GB",
        **content,
    }


class TestGatewayApi(PresetContract):
    preset = "gatewayapi"
    environment: ClassVar[Mapping[str, str]] = {"GATEWAYAPI_TOKEN": "made-up"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "UNKNOWN": ReportedStatus.PROGRESS,
        "SCHEDULED": ReportedStatus.PROGRESS,
        "BUFFERED": ReportedStatus.PROGRESS,
        "ENROUTE": ReportedStatus.SENT,
        "ACCEPTED": ReportedStatus.SENT,
        "DELIVERED": ReportedStatus.DELIVERED,
        "EXPIRED": ReportedStatus.UNDELIVERED,
        "UNDELIVERABLE": ReportedStatus.UNDELIVERED,
        "REJECTED": ReportedStatus.UNDELIVERED,
        "SKIPPED": ReportedStatus.UNDELIVERED,
        "DELETED": ReportedStatus.CANCELED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        usage = {"countries": {"GB": 1}, "currency": "EUR", "total_cost": 0.05}
        return answer(200, {"ids": list(ids), "usage": usage})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/rest/mtsms")
        assert request.headers["authorization"] == "Basic bWFkZS11cDo="
        assert body["userref"] == REFERENCE
        assert body["encoding"] == ("UCS2" if "👋" in body["message"] else "UTF8")
        [recipient] = body["recipients"]
        sent = {
            "to": f"+{recipient['msisdn']}",
            "text": body["message"],
            "from": f"+{body['sender']}" if "sender" in body else None,
        }
        names = {"callback_url": "callback_url", "validity_period": "valid_for"}
        return sent | {ours: body[theirs] for theirs, ours in names.items() if theirs in body}

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(401, error("0x0223")), CredentialsRefused),
            Refusal(answer(403, error("0x0213")), CredentialsRefused, "0x0213"),
            Refusal(answer(403, error("0x0216")), CredentialsRefused, "0x0216"),
            Refusal(answer(403, error("0x0215")), Refused, "0x0215"),
            Refusal(answer(422, error("0x0312")), Refused, "0x0312"),
            Refusal(answer(400, error("0x0222")), Refused, "0x0222"),
            Refusal(answer(403, {"message": "made up"}), AccountRefused),
            Refusal(answer(500, {"message": "made up"}), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return json_callback(report(id=message_id, status=status))

    def reply(self, text: str) -> Callback:
        content = {"id": 1000001, "msisdn": int(TO[1:]), "receiver": int(SENDER[1:]), "message": text}
        return json_callback({**content, "senttime": 1450000000, "webhook_label": "test", "country_code": "GB"})

    @pytest.mark.parametrize(
        ("code", "status"), [("0x1010", ReportedStatus.INVALID), ("0x1019", ReportedStatus.UNDELIVERED)]
    )
    def test_the_reference_and_the_error_of_a_receipt_are_read(
        self, parser: CallbackParser, code: str, status: ReportedStatus
    ) -> None:
        content = report(id=1000001, status="UNDELIVERABLE", error="made up", code=code)

        [read] = parser.parse_status(self.request(json_callback(content), kind="status", attempt_id=""))

        assert (read.provider_message_id, read.reference) == ("1000001", REFERENCE)
        assert (read.status, read.error_code) == (status, code)
