"""Sinch: a batch for each text, receipts for each recipient by the batch's id, signed with a nonce and a time."""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, callback_parser
from providers.contract.messages import OutboundMessage
from providers.contract.sender import Sender
from providers.errors import AccountRefused, CredentialsRefused, InvalidSignature, RateLimited, Refused, Unavailable
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

SECRET = "made-up-secret"
HEADER = "x-sinch-webhook-signature"


def signature(body: bytes, nonce: str, timestamp: str) -> str:
    return b64encode(hmac.digest(SECRET.encode(), body + f".{nonce}.{timestamp}".encode(), "sha256")).decode()


def proofs(body: bytes, nonce: str, timestamp: str) -> dict[str, str]:
    made = {HEADER: signature(body, nonce, timestamp), f"{HEADER}-nonce": nonce, f"{HEADER}-timestamp": timestamp}
    return {**made, f"{HEADER}-algorithm": "HmacSHA256"}


class TestSinch(PresetContract):
    preset = "sinch"
    environment: ClassVar[Mapping[str, str]] = {
        "SINCH_URL": "https://eu.sms.api.sinch.com/xms/v1/made-up-plan/batches",
        "SINCH_API_TOKEN": "made-up-token",
        "SINCH_WEBHOOK_SECRET": SECRET,
    }
    # In the documents' letter case, and a few in that of the SDK.
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "Queued": ReportedStatus.PROGRESS,
        "Dispatched": ReportedStatus.SENT,
        "Unknown": ReportedStatus.SENT,
        "Delivered": ReportedStatus.DELIVERED,
        "Aborted": ReportedStatus.FAILED,
        "Cancelled": ReportedStatus.CANCELED,
        "Rejected": ReportedStatus.UNDELIVERED,
        "Failed": ReportedStatus.UNDELIVERED,
        "Expired": ReportedStatus.UNDELIVERED,
        "Deleted": ReportedStatus.UNDELIVERED,
        "DISPATCHED": ReportedStatus.SENT,
        "DELIVERED": ReportedStatus.DELIVERED,
        "FAILED": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        batch = {"to": [TO[1:]], "from": SENDER[1:], "canceled": False, "body": "made up", "type": "mt_text"}
        return answer(201, {"id": ids[0], **batch, "created_at": "2026-10-06T12:00:00.000Z"})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/xms/v1/made-up-plan/batches")
        assert request.headers["authorization"] == "Bearer made-up-token"
        assert (body.pop("type"), body.pop("delivery_report")) == ("mt_text", "per_recipient")
        assert body.pop("client_reference") == REFERENCE
        [to] = body.pop("to")
        sent = {"to": f"+{to}", "text": body.pop("body")}
        if "from" in body:
            sent["from"] = f"+{body.pop('from')}"
        if "expire_at" in body:
            left = datetime.fromisoformat(body.pop("expire_at")) - datetime.now(UTC)
            sent["valid_for"] = int(left.total_seconds())
        return sent | body

    def refusals(self) -> Sequence[Refusal]:
        def error(code: str) -> dict[str, str]:
            return {"code": code, "text": "made up"}

        return [
            Refusal(answer(400, error("syntax_invalid_parameter_format")), Refused, "syntax_invalid_parameter_format"),
            Refusal(answer(403, error("unknown_campaign")), Refused, "unknown_campaign"),
            Refusal(answer(403, error("blocked_account")), CredentialsRefused, "blocked_account"),
            Refusal(answer(403, b""), AccountRefused),
            Refusal(answer(401, b""), CredentialsRefused),
            Refusal(answer(429, b""), RateLimited),
            Refusal(answer(503, b""), Unavailable),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(batch_id, status)] = reports
        report = {"type": "recipient_delivery_report_sms", "batch_id": batch_id, "recipient": TO[1:], "code": 0}
        return json_callback(
            {**report, "status": status, "at": "2026-10-06T12:00:00.000Z", "client_reference": REFERENCE}
        )

    def reply(self, text: str) -> Callback:
        return json_callback({**INCOMING, "type": "mo_text", "body": text})

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        made = proofs(request.body, "01FJA8B4A7BM43YGWSG9GBV067", str(int(time())))
        return replace(request, headers={**request.headers, **made})

    def test_a_receipt_repeats_our_reference_and_has_a_code(self, parser: CallbackParser) -> None:
        request = self.signed(self.request(self.receipt([("id-1", "Aborted")]), kind="status", attempt_id=""))

        [report] = parser.parse_status(request)

        assert (report.reference, report.error_code) == (REFERENCE, "0")

    def test_the_text_and_the_pictures_of_an_mms_are_read(self, parser: CallbackParser) -> None:
        media = [{"url": "https://media.example/1.jpg", "content_type": "image/jpeg", "status": "Uploaded", "code": 0}]
        body = {"subject": "made up", "message": "look", "media": media}
        callback = json_callback({**INCOMING, "type": "mo_media", "body": body})

        [reply] = parser.parse_inbound(self.signed(self.request(callback, kind="inbound", attempt_id="")))

        assert (reply.text, reply.media_urls) == ("look", ("https://media.example/1.jpg",))

    def test_a_long_validity_ends_after_three_days(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.accepting(["id-1"])
        now = datetime.now(UTC)

        backend.send(
            OutboundMessage(
                to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE, valid_until=now + timedelta(days=7)
            )
        )

        end = datetime.fromisoformat(carrier.received[0].json()["expire_at"])
        assert timedelta(days=3, seconds=-2) <= end - now <= timedelta(days=3, seconds=10)

    @pytest.mark.parametrize("name", [f"{HEADER}-nonce", f"{HEADER}-timestamp"])
    def test_the_nonce_and_the_time_are_covered(self, parser: CallbackParser, name: str) -> None:
        good = self.signed(self.request(self.reply("a"), kind="inbound", attempt_id=""))
        parser.verify(good)

        with pytest.raises(InvalidSignature):
            parser.verify(replace(good, headers={**good.headers, name: "1634579354"}))


def test_a_known_signature_is_made_and_verified_however_old_it_is() -> None:
    body = (
        b'{"type":"recipient_delivery_report_sms","batch_id":"01FC66621XXXXX119Z8PMV1QPQ","recipient":"14155550101",'
        b'"code":0,"status":"Delivered","at":"2026-10-06T12:00:00.000Z"}'
    )
    made = proofs(body, "01FJA8B4A7BM43YGWSG9GBV067", "1634579353")
    parser = callback_parser(TestSinch().make("http://127.0.0.1:1"))

    assert made[HEADER] == "2AZlD7tnGYoYDCVH0x78aNwxVqmVKhml7af2k1SbaOM="
    assert parser is not None
    parser.verify(CallbackRequest("https://sms.example.com/in", {"content-type": "application/json", **made}, body))


INCOMING = {
    "id": "01FC66621XXXXX119Z8PMV1QPR",
    "from": TO[1:],
    "to": SENDER[1:],
    "received_at": "2026-10-06T12:00:00.000Z",
    "operator_id": "23410",
}
