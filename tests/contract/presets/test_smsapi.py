"""SMSAPI: a form, errors at 200, receipts by GET with up to five values in each field."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.contract.callbacks import CallbackParser, ReportedStatus
from providers.errors import CredentialsRefused, RecipientInvalid, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import TO, Callback, PresetContract, Refusal


class TestSmsApi(PresetContract):
    preset = "smsapi"
    environment: ClassVar[Mapping[str, str]] = {"SMSAPI_TOKEN": "made-up-token"}
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "402": ReportedStatus.UNDELIVERED,
        "403": ReportedStatus.SENT,
        "404": ReportedStatus.DELIVERED,
        "405": ReportedStatus.UNDELIVERED,
        "406": ReportedStatus.FAILED,
        "407": ReportedStatus.UNDELIVERED,
        "408": ReportedStatus.PROGRESS,
        "409": ReportedStatus.PROGRESS,
        "410": ReportedStatus.SENT,
    }
    has_batches = True
    has_replies = False

    def accepting(self, ids: Sequence[str]) -> Play:
        result = {"id": ids[0], "points": 0.1, "number": TO[1:], "submitted_number": TO[1:], "status": "QUEUE"}
        return answer(200, {"count": 1, "list": [{**result, "date_sent": 1460969712, "error": None, "idx": None}]})

    def sent(self, request: Received) -> Mapping[str, Any]:
        form = {name: values[0] for name, values in request.form().items()}
        assert (request.method, request.target) == ("POST", "/sms.do")
        assert request.headers["authorization"] == "Bearer made-up-token"
        assert (form.pop("encoding"), form.pop("format")) == ("utf-8", "json")
        sender = form.pop("from", None)
        sent = {"to": f"+{form.pop('to')}", "text": form.pop("message"), "from": sender and f"+{sender}"}
        if "notify_url" in form:
            sent["callback_url"] = form.pop("notify_url")
        return sent | form

    def refusals(self) -> Sequence[Refusal]:
        wrong = {"number": TO[1:], "submitted_number": TO[1:], "message": "Invalid phone number"}
        nobody = {"invalid_numbers": [wrong], "error": 13, "message": "No correct phone numbers"}
        return [
            Refusal(answer(200, nobody), RecipientInvalid, "13"),
            Refusal(answer(200, {"error": 101, "message": "made up"}), CredentialsRefused, "101"),
            Refusal(answer(200, {"error": 102, "message": "made up"}), CredentialsRefused, "102"),
            Refusal(answer(200, {"error": 103, "message": "made up"}), CredentialsRefused, "103"),
            Refusal(answer(200, {"error": 14, "message": "made up"}), Refused, "14"),
            Refusal(answer(200, {"count": 1, "list": [{"id": None, "error": 30}]}), Refused, "30"),
            Refusal(answer(200, b"ERROR:105"), CredentialsRefused),
            Refusal(answer(200, b"ERROR:11"), Refused),
            Refusal(answer(401, b""), CredentialsRefused),
            Refusal(answer(500, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        fields = {
            "MsgId": ",".join(message_id for message_id, _ in reports),
            "status": ",".join(status for _, status in reports),
            "donedate": ",".join("1460969712" for _ in reports),
            "username": "acme",
        }
        return Callback(query=fields, method="GET")

    def test_smsapi_reads_the_answer_it_waits_for(self, parser: CallbackParser) -> None:
        response = parser.status_response

        assert response is not None
        assert (response.status, response.body) == (200, "OK")
