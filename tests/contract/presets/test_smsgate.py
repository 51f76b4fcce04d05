"""SMSGate, an Android phone: our own id in the request, events with a payload, signed with their time."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus
from providers.errors import CredentialsRefused, InvalidSignature, OutcomeUnknown, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal, json_callback

KEY = "made-up-key"


def event(name: str, **payload: Any) -> Callback:
    device = {"deviceId": "ffffffffceb0b1db0000018e937c815b", "webhookId": "LreFUt-Z3sSq0JufY9uWB"}
    return json_callback({**device, "event": name, "id": "Ey6ECgOkVVFjz3CL48B8C", "payload": payload})


class TestSmsGate(PresetContract):
    preset = "smsgate"
    environment: ClassVar[Mapping[str, str]] = {
        "SMSGATE_URL": "https://api.sms-gate.app/3rdparty/v1/messages",
        "SMSGATE_USERNAME": "made",
        "SMSGATE_PASSWORD": "up",
        "SMSGATE_SIGNING_KEY": KEY,
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "sms:sent": ReportedStatus.SENT,
        "sms:delivered": ReportedStatus.DELIVERED,
        "sms:failed": ReportedStatus.UNDELIVERED,
        "sms:cancelled": ReportedStatus.CANCELED,
    }
    has_sender = False

    def accepting(self, ids: Sequence[str]) -> Play:
        recipients = [{"phoneNumber": TO, "state": "Pending"}]
        return answer(202, {"id": ids[0], "deviceId": "device-1", "state": "Pending", "recipients": recipients})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/3rdparty/v1/messages")
        assert request.headers["authorization"] == "Basic bWFkZTp1cA=="
        assert (body.pop("id"), body.pop("withDeliveryReport")) == (REFERENCE, True)
        [to] = body.pop("phoneNumbers")
        sent = {"to": to, "text": body.pop("textMessage")["text"]}
        if "ttl" in body:
            sent["valid_for"] = body.pop("ttl")
        return sent | body

    def refusals(self) -> Sequence[Refusal]:
        full = {"error": "QueueLimitExceeded", "message": "queue limits exceeded: too many pending messages: 10 / 10"}
        return [
            Refusal(answer(401, {"message": "Unauthorized"}), CredentialsRefused),
            Refusal(answer(400, {"message": "invalid phone number"}), Refused),
            Refusal(answer(409, {"message": "message with the same ID already exists"}), OutcomeUnknown),
            Refusal(answer(503, full), Unavailable),
            Refusal(answer(500, {"message": "failed to handle request"}), OutcomeUnknown),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, name)] = reports
        reason = {"reason": "RESULT_ERROR_GENERIC_FAILURE"} if name == "sms:failed" else {}
        return event(name, messageId=message_id, sender=SENDER, recipient=TO, simNumber=1, **reason)

    def reply(self, text: str) -> Callback:
        return event("sms:received", messageId="abc123", message=text, sender=TO, recipient=SENDER, simNumber=1)

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        return self.signed_at(request, int(time()))

    def signed_at(self, request: CallbackRequest, seconds: int) -> CallbackRequest:
        signature = hmac.new(KEY.encode(), request.body + str(seconds).encode(), "sha256").hexdigest()
        return replace(request, headers={**request.headers, "x-signature": signature, "x-timestamp": str(seconds)})

    def test_an_old_signature_is_refused(self, parser: CallbackParser) -> None:
        request = self.request(self.reply("STOP"), kind="inbound", attempt_id="")

        parser.verify(self.signed_at(request, int(time()) - 290))
        with pytest.raises(InvalidSignature, match="too old"):
            parser.verify(self.signed_at(request, int(time()) - 310))

    def test_a_receipt_names_our_message_and_the_phones_reason(self, parser: CallbackParser) -> None:
        request = self.request(self.receipt([(REFERENCE, "sms:failed")]), kind="status", attempt_id="")

        [report] = parser.parse_status(request)

        assert (report.reference, report.error_code) == (REFERENCE, "RESULT_ERROR_GENERIC_FAILURE")

    @pytest.mark.parametrize("recipient", [None, SENDER])
    def test_the_text_of_an_mms_is_read_even_if_the_phone_does_not_know_its_number(
        self, parser: CallbackParser, recipient: str | None
    ) -> None:
        pictures = [{"partId": 1, "contentType": "image/jpeg", "name": "photo.jpg", "size": 4, "data": "/9j/"}]
        callback = event(
            "mms:downloaded", messageId="1", sender=TO, recipient=recipient, body="look", attachments=pictures
        )

        [reply] = parser.parse_inbound(self.request(callback, kind="inbound", attempt_id=""))

        assert (reply.recipient, reply.text, reply.media_urls) == (recipient or "", "look", ())

    def test_the_same_text_twice_has_two_ids(self, parser: CallbackParser) -> None:
        [reply] = parser.parse_inbound(self.request(self.reply("STOP"), kind="inbound", attempt_id=""))

        assert (
            reply.provider_message_id == "Ey6ECgOkVVFjz3CL48B8C"
        )  # the event's: the message's is a hash of its content


class TestSmsGateOfOneCountry(TestSmsGate):
    overrides: ClassVar[Mapping[str, Any]] = {"default_country": "GB"}

    def reply(self, text: str) -> Callback:
        return event(
            "sms:received", messageId="abc123", message=text, sender=f"0{TO[3:]}", recipient=SENDER, simNumber=1
        )
