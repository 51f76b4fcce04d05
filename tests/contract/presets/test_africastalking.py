"""Africa's Talking: a form, errors at 201 in the list of recipients, receipts and replies as forms at fixed addresses."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from providers.contract.callbacks import ReportedStatus
from providers.errors import (
    CredentialsRefused,
    NoMessageId,
    OutcomeUnknown,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
)
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import SENDER, TO, Callback, PresetContract, Refusal


def sent_to(status_code: int, message_id: str) -> Play:
    recipient = {
        "statusCode": status_code,
        "number": TO,
        "status": "Success",
        "cost": "KES 0.8000",
        "messageId": message_id,
    }
    return answer(201, {"SMSMessageData": {"Message": "Sent to 1/1 Total Cost: KES 0.8000", "Recipients": [recipient]}})


class TestAfricasTalking(PresetContract):
    preset = "africastalking"
    environment: ClassVar[Mapping[str, str]] = {
        "AFRICASTALKING_USERNAME": "acme",
        "AFRICASTALKING_API_KEY": "made-up-key",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "Sent": ReportedStatus.SENT,
        "Submitted": ReportedStatus.SENT,
        "Buffered": ReportedStatus.PROGRESS,
        "Success": ReportedStatus.DELIVERED,
        "Rejected": ReportedStatus.UNDELIVERED,
        "Failed": ReportedStatus.UNDELIVERED,
        "Expired": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return sent_to(101, ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        form = {name: values[0] for name, values in request.form().items()}
        assert (request.method, request.target) == ("POST", "/version1/messaging")
        assert (request.headers["apikey"], request.headers["accept"]) == ("made-up-key", "application/json")
        assert (form.pop("username"), form.pop("bulkSMSMode")) == ("acme", "1")
        return {"to": form.pop("to"), "text": form.pop("message"), "from": form.pop("from", None), **form}

    def refusals(self) -> Sequence[Refusal]:
        nobody = {"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}
        return [
            Refusal(answer(401, b"The supplied authentication is invalid"), CredentialsRefused),
            Refusal(answer(201, nobody), Refused, "InvalidSenderId"),
            Refusal(sent_to(402, "None"), Refused, "402"),
            Refusal(sent_to(403, "None"), RecipientInvalid, "403"),
            Refusal(sent_to(405, "None"), CredentialsRefused, "405"),
            Refusal(sent_to(406, "None"), RecipientOptedOut, "406"),
            Refusal(sent_to(409, "None"), Refused, "409"),
            Refusal(sent_to(500, "None"), OutcomeUnknown, "500"),
            Refusal(sent_to(501, "None"), OutcomeUnknown, "501"),
            Refusal(answer(201, b"<html>"), NoMessageId),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        form = {"id": message_id, "status": status, "phoneNumber": TO, "networkCode": "62001", "retryCount": "0"}
        return Callback(form | ({"failureReason": "DeliveryFailure"} if status in {"Failed", "Rejected"} else {}))

    def reply(self, text: str) -> Callback:
        return Callback(
            {
                "date": "2026-10-06T12:00:00Z",
                "from": TO,
                "id": "28a9bdd6",
                "linkId": "SampleLinkId123",
                "text": text,
                "to": SENDER,
                "networkCode": "62001",
            }
        )
