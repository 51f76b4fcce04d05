"""seven: JSON, the outcome as a number at 200 (within JSON or alone), events with data as callbacks."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.contract.callbacks import ReportedStatus
from providers.errors import CredentialsRefused, NoMessageId, OutcomeUnknown, RecipientInvalid, Refused
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal, json_callback


def message(message_id: str | None, error: str | None = None) -> Play:
    result = {
        "id": message_id,
        "recipient": TO[1:],
        "sender": SENDER[1:],
        "text": "made up",
        "encoding": "gsm",
        "parts": 1,
        "price": 0.075,
        "success": error is None,
        "error": error,
        "error_text": None if error is None else "made up",
    }
    success = "100" if error is None else "101"
    return answer(200, {"success": success, "total_price": 0.075, "sms_type": "direct", "messages": [result]})


class TestSeven(PresetContract):
    preset = "seven"
    environment: ClassVar[Mapping[str, str]] = {"SEVEN_API_KEY": "made-up-key"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "ACCEPTED": ReportedStatus.SENT,
        "BUFFERED": ReportedStatus.PROGRESS,
        "TRANSMITTED": ReportedStatus.SENT,
        "DELIVERED": ReportedStatus.DELIVERED,
        "NOTDELIVERED": ReportedStatus.UNDELIVERED,
        "EXPIRED": ReportedStatus.UNDELIVERED,
        "REJECTED": ReportedStatus.UNDELIVERED,
        "FAILED": ReportedStatus.UNDELIVERED,
        "UNKNOWN": ReportedStatus.PROGRESS,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return message(ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/api/sms")
        assert request.headers["x-api-key"] == "made-up-key"
        sender = body.pop("from", None)
        sent = {"to": f"+{body.pop('to')}", "text": body.pop("text"), "from": sender and f"+{sender}"}
        if "ttl" in body:
            sent["valid_for"] = body.pop("ttl") * 60
        return sent | body

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(200, {"success": "900"}), CredentialsRefused, "900"),
            Refusal(answer(200, {"success": "500"}), CredentialsRefused, "500"),
            Refusal(answer(200, {"success": "202"}), RecipientInvalid, "202"),
            Refusal(answer(200, {"success": "305"}), Refused, "305"),
            Refusal(answer(200, {"success": "600"}), OutcomeUnknown, "600"),
            Refusal(message(None, "202"), RecipientInvalid, "202"),
            Refusal(message(None, "402"), Refused, "402"),
            Refusal(message(None, "500"), CredentialsRefused, "500"),
            Refusal(message(None, "700"), OutcomeUnknown, "700"),
            Refusal(answer(200, b"900"), CredentialsRefused),
            Refusal(answer(200, b'"903"'), CredentialsRefused),
            Refusal(answer(200, b"202"), RecipientInvalid),
            Refusal(answer(200, b"306"), Refused),
            Refusal(answer(200, b"600"), OutcomeUnknown),
            Refusal(answer(200, b"100"), NoMessageId),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        data = {"msg_id": message_id, "status": status, "timestamp": "2026-10-06 12:00:00.000000"}
        return json_callback({"data": data, "webhook_event": "dlr", "webhook_timestamp": "2026-10-06T12:00:00+02:00"})

    def reply(self, text: str) -> Callback:
        data = {"id": "681590", "sender": TO[1:], "system": SENDER[1:], "text": text, "time": "1605878104"}
        event = {"webhook_event": "sms_mo", "webhook_timestamp": "2026-10-06 12:00:00"}
        return json_callback({"data": {**data, "message_type": "SMS"}, **event})
