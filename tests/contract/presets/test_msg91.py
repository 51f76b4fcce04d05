"""MSG91: JSON, an error at 200, receipts as JSON (version 3) at a fixed address."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.contract.callbacks import ReportedStatus
from providers.errors import CredentialsRefused, NoMessageId, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import TO, Callback, PresetContract, Refusal, json_callback


class TestMsg91(PresetContract):
    preset = "msg91"
    environment: ClassVar[Mapping[str, str]] = {"MSG91_AUTH_KEY": "made-up-key"}
    overrides: ClassVar[Mapping[str, Any]] = {"body": {"DLT_TE_ID": "1000000000000000000"}}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "1": ReportedStatus.DELIVERED,
        "2": ReportedStatus.UNDELIVERED,
        "9": ReportedStatus.UNDELIVERED,
        "16": ReportedStatus.UNDELIVERED,
        "17": ReportedStatus.UNDELIVERED,
        "25": ReportedStatus.UNDELIVERED,
    }
    has_replies = False

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(200, {"message": ids[0], "type": "success"})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/api/v2/sendsms")
        assert request.headers["authkey"] == "made-up-key"
        assert (body.pop("route"), body.pop("DLT_TE_ID")) == ("4", "1000000000000000000")
        [single] = body.pop("sms")
        [to] = single["to"]
        sender, text = body.pop("sender", None), single["message"]
        assert body.pop("unicode", None) == ("1" if "👋" in text else None)
        return {"to": f"+{to}", "text": text, "from": sender and f"+{sender}", **body}

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(200, {"message": "made up", "type": "error"}), Refused),
            Refusal(answer(401, {"message": "made up", "type": "error"}), CredentialsRefused),
            Refusal(answer(200, b"<html>"), NoMessageId),
            Refusal(answer(500, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        content = {"date": "2026-10-06 12:00:00", "number": TO[1:], "senderId": "ACMEIN", "requestId": message_id}
        return json_callback({**content, "credit": "1", "campaignName": "API", "status": status, "desc": "MADE UP"})
