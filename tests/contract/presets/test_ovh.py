"""OVHcloud's http2sms: a form, the outcome as a number at 200, receipts by GET at a fixed address."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.contract.callbacks import ReportedStatus
from providers.errors import CredentialsRefused, NoMessageId, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import Callback, PresetContract, Refusal


class TestOvh(PresetContract):
    preset = "ovh"
    environment: ClassVar[Mapping[str, str]] = {
        "OVH_SMS_ACCOUNT": "sms-xx11111-1",
        "OVH_SMS_LOGIN": "switchboard",
        "OVH_SMS_PASSWORD": "made-up",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "1": ReportedStatus.DELIVERED,
        "2": ReportedStatus.UNDELIVERED,
        "16": ReportedStatus.UNDELIVERED,
    }
    has_replies = False

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(200, {"status": 100, "smsIds": list(ids), "creditLeft": "230.50"})

    def sent(self, request: Received) -> Mapping[str, Any]:
        form = {name: values[0] for name, values in request.form().items()}
        assert (request.method, request.target) == ("POST", "/cgi-bin/sms/http2sms.cgi")
        assert (form.pop("account"), form.pop("login"), form.pop("password")) == (
            "sms-xx11111-1",
            "switchboard",
            "made-up",
        )
        assert (form.pop("noStop"), form.pop("contentType")) == ("1", "application/json")
        sender, text = form.pop("from", None), form.pop("message")
        assert form.pop("smsCoding") == ("2" if "👋" in text else "1")
        return {"to": f"+{form.pop('to')[2:]}", "text": text, "from": sender and f"+{sender[2:]}", **form}

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(200, {"status": 401, "message": "made up"}), CredentialsRefused, "401"),
            Refusal(answer(200, {"status": 201, "message": "made up"}), Refused, "201"),
            Refusal(answer(200, b"<html>"), NoMessageId),
            Refusal(answer(503, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return Callback(query={"id": message_id, "dlr": status}, method="GET")
