"""Plivo: JSON with a list of ids, callbacks as forms that are signed with their address."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, callback_parser
from providers.errors import (
    CredentialsRefused,
    InvalidSignature,
    NoMessageId,
    OutOfCredit,
    RateLimited,
    Refused,
    Unavailable,
)
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import FORM, SENDER, TO, Callback, PresetContract, Refusal

TOKEN, NONCE = "made-up-token", "12345"
HEADER = "x-plivo-signature-v3"


def signature(url: str, body: bytes) -> str:
    address, _, query = url.partition("?")
    parameters = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True)))
    fields = sorted(parse_qsl(body.decode(), keep_blank_values=True))
    signed = address + ("?" if parameters or fields else "") + parameters + ("." if parameters and fields else "")
    signed += "".join(f"{name}{value}" for name, value in fields)
    return b64encode(hmac.digest(TOKEN.encode(), f"{signed}.{NONCE}".encode(), "sha256")).decode()


class TestPlivo(PresetContract):
    preset = "plivo"
    environment: ClassVar[Mapping[str, str]] = {
        "PLIVO_URL": "https://api.plivo.com/v1/Account/MAMADEUP/Message/",
        "PLIVO_AUTH_ID": "MAMADEUP",
        "PLIVO_AUTH_TOKEN": TOKEN,
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "queued": ReportedStatus.PROGRESS,
        "sent": ReportedStatus.SENT,
        "delivered": ReportedStatus.DELIVERED,
        "undelivered": ReportedStatus.UNDELIVERED,
        "failed": ReportedStatus.FAILED,
        "rejected": ReportedStatus.FAILED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return answer(202, {"api_id": "api-1", "message": "message(s) queued", "message_uuid": list(ids)})

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/v1/Account/MAMADEUP/Message/")
        assert b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"MAMADEUP:made-up-token"
        assert (body.pop("type"), body.pop("method")) == ("sms", "POST")
        sent = {"to": f"+{body.pop('dst')}", "text": body.pop("text")}
        for name, key in (("url", "callback_url"), ("message_expiry", "valid_for")):
            if name in body:
                sent[key] = body.pop(name)
        if "src" in body:
            sent["from"] = f"+{body.pop('src')}"
        return sent | body

    def refusals(self) -> Sequence[Refusal]:
        error = {"api_id": "api-1", "error": "made up"}
        return [
            Refusal(answer(400, error), Refused),
            Refusal(answer(401, b"Could not verify your access level for that URL."), CredentialsRefused),
            Refusal(answer(402, error), OutOfCredit),
            Refusal(answer(404, error), Refused),
            Refusal(answer(429, error), RateLimited),
            Refusal(answer(500, error), Unavailable),
            Refusal(answer(202, {"api_id": "api-1", "message": "made up", "message_uuid": []}), NoMessageId),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return Callback({**RECEIPT, "MessageUUID": message_id, "Status": status})

    def reply(self, text: str) -> Callback:
        return Callback(
            {"From": TO[1:], "To": SENDER[1:], "Text": text, "MessageUUID": "in-1", "Type": "sms", "Units": "1"}
        )

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        headers = {HEADER: signature(request.url, request.body), f"{HEADER}-nonce": NONCE}
        return replace(request, headers={**request.headers, **headers})

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("50", ReportedStatus.INVALID),
            ("80", ReportedStatus.UNDELIVERED),
            ("200", ReportedStatus.OPTED_OUT),
        ],
    )
    def test_the_code_of_a_failure_is_read(self, parser: CallbackParser, code: str, status: ReportedStatus) -> None:
        callback = Callback({**RECEIPT, "MessageUUID": "id-1", "Status": "undelivered", "ErrorCode": code})

        [report] = parser.parse_status(self.signed(self.request(callback, kind="status")))

        assert (report.status, report.error_code) == (status, code)

    def test_one_of_several_signatures_is_enough(self, parser: CallbackParser) -> None:
        request = self.signed(self.request(self.reply("a & b"), kind="inbound", attempt_id=""))
        several = {**request.headers, HEADER: f"bm8=,{request.headers[HEADER]}"}

        parser.verify(replace(request, headers=several))

    def test_the_address_is_covered(self, parser: CallbackParser) -> None:
        request = self.signed(self.request(self.reply("a"), kind="inbound", attempt_id=""))

        with pytest.raises(InvalidSignature):
            parser.verify(replace(request, url=request.url.replace("inbound", "status")))


def test_a_known_signature_is_made_and_verified() -> None:
    url, expected = "https://sms.example.com/in", "6NOMxkMgFEhb72lSW6eLp2w8igiolJuPqmVWeilqoKA="
    body = urlencode({"To": "14155550100", "From": "14155550101", "Text": "hi"}).encode()
    parser = callback_parser(TestPlivo().make("http://127.0.0.1:1"))

    assert signature(url, body) == expected
    assert parser is not None
    parser.verify(CallbackRequest(url, {"content-type": FORM, HEADER: expected, f"{HEADER}-nonce": NONCE}, body))


RECEIPT = {
    "From": SENDER[1:],
    "To": TO[1:],
    "Units": "1",
    "TotalRate": "0.0035",
    "TotalAmount": "0.0035",
    "MCC": "234",
    "MNC": "10",
    "Sequence": "1",
    "ParentMessageUUID": "",
    "PartInfo": "1 of 1",
    "MessageTime": "2026-10-06 12:00:00.000000",
}
