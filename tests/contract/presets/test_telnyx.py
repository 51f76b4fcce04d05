"""Telnyx: events in JSON with a status for each recipient, signed by Ed25519 with their time."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus
from providers.contract.messages import OutboundMessage
from providers.contract.sender import Sender
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    InvalidSignature,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    Unavailable,
)
from tests.contract.fake_carrier import FakeCarrier, Play, Received, answer
from tests.contract.presets.kit import (
    GSM_TEXT,
    REFERENCE,
    SENDER,
    TO,
    Callback,
    PresetContract,
    Refusal,
    json_callback,
)

KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
SIGNATURE, TIMESTAMP = "telnyx-signature-ed25519", "telnyx-timestamp"


def signature(timestamp: str, body: bytes) -> str:
    return b64encode(KEY.sign(timestamp.encode() + b"|" + body)).decode()


def recipient(status: str, number: str = TO) -> dict[str, str]:
    return {"phone_number": number, "status": status, "carrier": "made up", "line_type": "Wireless"}


def errors(*codes: str) -> list[dict[str, Any]]:
    return [{"code": code, "title": "made up", "detail": "made up", "source": {"pointer": "/to"}} for code in codes]


def message(status: str, message_id: str = "id-1", *codes: str) -> Play:
    content = {"record_type": "message", "id": message_id, "to": [recipient(status)], "parts": 1}
    return answer(200, {"data": {**content, "errors": errors(*codes)}})


def event(kind: str, payload: Mapping[str, Any]) -> Callback:
    data = {"event_type": kind, "id": "ac012cbf", "occurred_at": "2026-10-06T12:00:00.000+00:00", "payload": payload}
    return json_callback({"data": {**data, "record_type": "event"}, "meta": {"attempt": 1, "delivered_to": "made up"}})


class TestTelnyx(PresetContract):
    preset = "telnyx"
    environment: ClassVar[Mapping[str, str]] = {
        "TELNYX_API_KEY": "made-up-key",
        "TELNYX_PUBLIC_KEY": "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "queued": ReportedStatus.PROGRESS,
        "sending": ReportedStatus.PROGRESS,
        "sent": ReportedStatus.SENT,
        "delivered": ReportedStatus.DELIVERED,
        "read": ReportedStatus.DELIVERED,
        "delivery_unconfirmed": ReportedStatus.PROGRESS,
        "sending_failed": ReportedStatus.FAILED,
        "delivery_failed": ReportedStatus.UNDELIVERED,
        "expired": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return message("queued", ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/v2/messages")
        assert request.headers["authorization"] == "Bearer made-up-key"
        if "webhook_url" in body:
            body["callback_url"] = body.pop("webhook_url")
        return body  # type: ignore[no-any-return]  # an object, as it is JSON of ours

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(400, {"errors": errors("40310")}), RecipientInvalid, "40310"),
            Refusal(answer(409, {"errors": errors("40300")}), RecipientOptedOut, "40300"),
            Refusal(answer(400, {"errors": errors("40305")}), Refused, "40305"),
            Refusal(answer(422, {"errors": errors("10015")}), Refused, "10015"),
            Refusal(answer(401, {"errors": errors("10009")}), CredentialsRefused),
            Refusal(answer(403, {"errors": errors("10010")}), AccountRefused),
            Refusal(answer(429, {"errors": errors("10011")}), RateLimited),
            Refusal(answer(500, {"errors": errors("10007")}), Unavailable),
            Refusal(message("sending_failed", "id-1", "40002"), Refused, "40002"),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        kind = "message.sent" if status == "sent" else "message.finalized"
        return event(kind, {**OUTGOING, "id": message_id, "to": [recipient(status)], "errors": []})

    def reply(self, text: str) -> Callback:
        return event("message.received", {**INCOMING, "text": text})

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        return self.signed_at(request, int(time()))

    def signed_at(self, request: CallbackRequest, seconds: int) -> CallbackRequest:
        headers = {TIMESTAMP: str(seconds), SIGNATURE: signature(str(seconds), request.body)}
        return replace(request, headers={**request.headers, **headers})

    @pytest.mark.parametrize(
        ("codes", "status"),
        [
            (["40001"], ReportedStatus.INVALID),
            (["40012", "40008"], ReportedStatus.INVALID),
            (["40300"], ReportedStatus.OPTED_OUT),
            (["40002"], ReportedStatus.UNDELIVERED),
        ],
    )
    def test_the_first_error_of_a_failure_is_read(
        self, parser: CallbackParser, codes: Sequence[str], status: ReportedStatus
    ) -> None:
        payload = {**OUTGOING, "id": "id-1", "to": [recipient("delivery_failed")], "errors": errors(*codes)}

        [report] = parser.parse_status(self.signed(self.request(event("message.finalized", payload), kind="status")))

        assert (report.status, report.error_code) == (status, codes[0])

    def test_the_text_and_the_pictures_of_a_group_message_are_read(self, parser: CallbackParser) -> None:
        media = [{"url": "https://media.example/1.jpg", "content_type": "image/jpeg", "size": 4}]
        to = [recipient("webhook_delivered", number) for number in (SENDER, "+447700900124")]
        callback = event("message.received", {**INCOMING, "to": to, "text": "look", "media": media, "type": "MMS"})

        [reply] = parser.parse_inbound(self.signed(self.request(callback, kind="inbound", attempt_id="")))

        assert (reply.recipient, reply.text) == (SENDER, "look")
        assert reply.media_urls == ("https://media.example/1.jpg",)

    def test_pictures_are_sent(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.accepting(["id-1"])
        pictures = ("https://media.example/1.jpg",)

        backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE, media_urls=pictures))

        assert carrier.received[0].json()["media_urls"] == list(pictures)

    def test_an_old_signature_is_refused_and_a_new_try_is_not(self, parser: CallbackParser) -> None:
        first = self.signed_at(self.request(self.reply("STOP"), kind="inbound", attempt_id=""), int(time()) - 310)
        content = json.loads(first.body)
        content["meta"]["attempt"] = 2

        with pytest.raises(InvalidSignature, match="too old"):
            parser.verify(first)
        parser.verify(self.signed(replace(first, body=json.dumps(content).encode())))


def test_a_known_signature_is_made() -> None:
    expected = "TAeCTcLHKOx4nfxqROXV1Zvv78xtLazOMJCIHhd8E4OvTZFBl2llsaZWyh34DQwjOIkIbYDQYJN17pjHksBICw=="

    assert signature("1700000000", b'{"a":1}') == expected
    assert b64encode(KEY.public_key().public_bytes_raw()).decode() == TestTelnyx.environment["TELNYX_PUBLIC_KEY"]


OUTGOING = {"direction": "outbound", "type": "SMS", "from": {"phone_number": SENDER}, "text": "made up", "parts": 1}
INCOMING = {
    "direction": "inbound",
    "type": "SMS",
    "id": "84cca175-9755-4859-b67f-4730d7f58aa3",
    "from": {"phone_number": TO, "carrier": "made up", "line_type": "Wireless"},
    "to": [recipient("webhook_delivered", SENDER)],
    "media": [],
    "errors": [],
    "parts": 1,
}
