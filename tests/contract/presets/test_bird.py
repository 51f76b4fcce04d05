"""Bird (MessageBird): JSON out, receipts by GET, callbacks with a JSON Web Token about their address and body."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from time import time
from typing import Any, ClassVar

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus
from providers.errors import CredentialsRefused, InvalidSignature, RateLimited, Refused, Unavailable
from tests.contract.fake_carrier import Play, Received, answer
from tests.contract.presets.kit import REFERENCE, SENDER, TO, Callback, PresetContract, Refusal

KEY = "made-up-signing-key-made-up-signing-key"
HEADER = "messagebird-signature-jwt"


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def token(claims: Mapping[str, Any], *, key: str = KEY) -> str:
    header = {"alg": "HS256", "typ": "JWT"}
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


def claims_about(request: CallbackRequest, *, now: float) -> dict[str, Any]:
    claims: dict[str, Any] = {"iss": "MessageBird", "jti": "made-up", "nbf": int(now), "exp": int(now) + 60}
    claims["url_hash"] = sha256(request.url.encode()).hexdigest()
    return claims | ({"payload_hash": sha256(request.body).hexdigest()} if request.body else {})


def message(status: str, message_id: str = "id-1") -> Play:
    item = {"recipient": int(TO[1:]), "status": status, "statusDatetime": "2026-10-06T12:00:00+00:00"}
    counts = {"totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0, "totalDeliveryFailedCount": 0}
    content = {"id": message_id, "direction": "mt", "type": "sms", "reference": REFERENCE, "datacoding": "plain"}
    return answer(201, {**content, "recipients": {**counts, "items": [item]}})


def errors(code: int, parameter: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "description": "made up", "parameter": parameter}]}


class TestBird(PresetContract):
    preset = "bird"
    environment: ClassVar[Mapping[str, str]] = {
        "BIRD_AUTHORIZATION": "AccessKey made-up-key",
        "BIRD_SIGNING_KEY": KEY,
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "scheduled": ReportedStatus.PROGRESS,
        "buffered": ReportedStatus.PROGRESS,
        "sent": ReportedStatus.SENT,
        "delivered": ReportedStatus.DELIVERED,
        "expired": ReportedStatus.UNDELIVERED,
        "delivery_failed": ReportedStatus.UNDELIVERED,
    }

    def accepting(self, ids: Sequence[str]) -> Play:
        return message("sent", ids[0])

    def sent(self, request: Received) -> Mapping[str, Any]:
        body = request.json()
        assert (request.method, request.target) == ("POST", "/messages")
        assert request.headers["authorization"] == "AccessKey made-up-key"
        text = body.pop("body")
        assert body.pop("datacoding") == ("unicode" if "👋" in text else "plain")
        assert body.pop("reference") == REFERENCE
        sent = {"to": f"+{body.pop('recipients')}", "text": text}
        for name, key in (("reportUrl", "callback_url"), ("validity", "valid_for")):
            if name in body:
                sent[key] = body.pop(name)
        if "originator" in body:
            sent["from"] = f"+{body.pop('originator')}"
        return sent | body

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(answer(401, errors(2, "access_key")), CredentialsRefused, "2"),
            Refusal(answer(422, errors(9, "recipients")), Refused, "9"),
            Refusal(answer(400, errors(9, "originator")), Refused, "9"),
            Refusal(answer(404, errors(20, "")), Refused, "20"),
            Refusal(answer(429, b""), RateLimited),
            Refusal(answer(503, b""), Unavailable),
            Refusal(message("delivery_failed"), Refused),
        ]

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return Callback(query={**RECEIPT, "id": message_id, "status": status}, method="GET")

    def reply(self, text: str) -> Callback:
        return Callback({**REPLY, "body": text})

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        made = token(claims_about(request, now=time()))
        return replace(request, headers={**request.headers, HEADER: made})

    def test_a_receipt_repeats_our_reference_and_tells_a_stop(self, parser: CallbackParser) -> None:
        for code, status in (("103", ReportedStatus.OPTED_OUT), ("34", ReportedStatus.UNDELIVERED)):
            failed = {**RECEIPT, "id": "id-1", "status": "delivery_failed", "statusErrorCode": code}

            request = self.signed(self.request(Callback(query=failed, method="GET"), kind="status", attempt_id=""))
            [report] = parser.parse_status(request)

            assert (report.reference, report.status, report.error_code) == (REFERENCE, status, code)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"iss": "somebody"},
            {"exp": 1_700_000_000},
            {"url_hash": "0" * 64},
            {"payload_hash": "0" * 64},
        ],
    )
    def test_a_token_with_a_wrong_claim_is_refused(self, parser: CallbackParser, wrong: dict[str, Any]) -> None:
        request = self.request(self.reply("STOP"), kind="inbound", attempt_id="")
        claims = claims_about(request, now=time())
        parser.verify(replace(request, headers={**request.headers, HEADER: token(claims)}))

        for made in (token(claims | wrong), token(claims, key=KEY.upper())):
            with pytest.raises(InvalidSignature):
                parser.verify(replace(request, headers={**request.headers, HEADER: made}))

    def test_a_token_is_good_until_its_own_end(self, parser: CallbackParser) -> None:
        request = self.request(self.reply("STOP"), kind="inbound", attempt_id="")
        claims = {**claims_about(request, now=time() - 3600), "iat": int(time()) - 3600, "exp": int(time()) + 60}

        parser.verify(replace(request, headers={**request.headers, HEADER: token(claims)}))


RECEIPT = {
    "datacoding": "plain",
    "mccmnc": "23410",
    "messagePartCount": "1",
    "recipient": TO[1:],
    "reference": REFERENCE,
    "statusDatetime": "2026-10-06T12:00:00+00:00",
}
REPLY = {
    "id": "b6aae1b5dfb2427a8f7ea6a717ba31a9",
    "originator": TO[1:],
    "recipient": SENDER[1:],
    "createdDatetime": "2026-10-06T12:00:00+00:00",
}
