"""Vonage's SMS API: a status and an id for each part at 200, callbacks in three forms with a signature in a field."""

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from providers.contract.callbacks import CallbackParser, CallbackRequest, ReportedStatus, callback_parser
from providers.contract.messages import MessagePart, OutboundMessage
from providers.contract.sender import Sender
from providers.errors import (
    CredentialsRefused,
    InvalidSignature,
    NoMessageId,
    OutcomeUnknown,
    RateLimited,
    RecipientInvalid,
    Refused,
    Unavailable,
)
from tests.contract.fake_carrier import FakeCarrier, Play, Received, answer
from tests.contract.presets.kit import (
    FORM,
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
DAY = 24 * 60 * 60


def part(status: str, message_id: str = "id-1") -> dict[str, str]:
    if status != "0":
        return {"to": TO[1:], "status": status, "error-text": "made up"}
    price = {"remaining-balance": "3.14", "message-price": "0.0333", "network": "23410", "client-ref": REFERENCE}
    return {"to": TO[1:], "message-id": message_id, "status": status, **price}


def parts(*given: dict[str, str]) -> Play:
    return answer(200, {"message-count": str(len(given)), "messages": list(given)})


def signature(fields: Mapping[str, str], method: str) -> str:
    pairs = [(name, fields[name].replace("&", "_").replace("=", "_")) for name in sorted(fields)]
    joined = "".join(f"&{name}={value}" for name, value in pairs)
    if method == "md5hash":
        return hashlib.md5(f"{joined}{SECRET}".encode(), usedforsecurity=False).hexdigest()
    return hmac.new(SECRET.encode(), joined.encode(), method).hexdigest()


class TestVonage(PresetContract):
    preset = "vonage"
    environment: ClassVar[Mapping[str, str]] = {
        "VONAGE_API_KEY": "abcd1234",
        "VONAGE_API_SECRET": "made-up",
        "VONAGE_SIGNATURE_SECRET": SECRET,
    }
    statuses: ClassVar[Mapping[str, ReportedStatus]] = {
        "accepted": ReportedStatus.SENT,
        "buffered": ReportedStatus.PROGRESS,
        "unknown": ReportedStatus.PROGRESS,
        "delivered": ReportedStatus.DELIVERED,
        "expired": ReportedStatus.UNDELIVERED,
        "failed": ReportedStatus.UNDELIVERED,
        "rejected": ReportedStatus.UNDELIVERED,
    }
    method: ClassVar[str] = "sha256"
    # How old the signature is, in seconds.
    age: ClassVar[int] = 0

    def accepting(self, ids: Sequence[str]) -> Play:
        return parts(*(part("0", message_id) for message_id in ids))

    def sent(self, request: Received) -> Mapping[str, Any]:
        assert (request.method, request.target) == ("POST", "/sms/json")
        assert b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"abcd1234:made-up"
        form = {name: value for name, [value] in request.form().items()}
        text = form.pop("text")
        assert form.pop("type") == ("unicode" if "👋" in text else "text")
        assert (form.pop("client-ref"), form.pop("status-report-req")) == (REFERENCE, "1")
        sent: dict[str, Any] = {"to": f"+{form.pop('to')}", "text": text}
        if "ttl" in form:
            sent["valid_for"] = int(form.pop("ttl")) // 1000
        if "from" in form:
            sent["from"] = f"+{form.pop('from')}"
        return sent | form

    def refusals(self) -> Sequence[Refusal]:
        return [
            Refusal(parts(part("1")), RateLimited),
            Refusal(parts(part("2")), Refused, "2"),
            Refusal(parts(part("3")), Refused, "3"),
            Refusal(parts(part("4")), CredentialsRefused, "4"),
            Refusal(parts(part("5")), OutcomeUnknown, "5"),
            Refusal(parts(part("6")), Refused, "6"),
            Refusal(parts(part("7")), Refused, "7"),
            Refusal(parts(part("8")), CredentialsRefused, "8"),
            Refusal(parts(part("9")), CredentialsRefused, "9"),
            Refusal(parts(part("15")), Refused, "15"),
            Refusal(parts(part("29")), Refused, "29"),
            Refusal(parts(part("33")), RecipientInvalid, "33"),
            Refusal(parts(part("0"), part("9")), OutcomeUnknown),
            Refusal(parts(part("1"), part("0")), OutcomeUnknown),
            Refusal(answer(200, {"message-count": "0", "messages": []}), NoMessageId),
            Refusal(answer(401, {"title": "Unauthorized"}), CredentialsRefused),
            Refusal(answer(429, {"title": "Throttled"}), RateLimited),
            Refusal(answer(503, b"<html>"), Unavailable),
        ]

    def carried(self, fields: Mapping[str, str]) -> Callback:
        return Callback(fields)

    def receipt(self, reports: Sequence[tuple[str, str]]) -> Callback:
        [(message_id, status)] = reports
        return self.carried({**RECEIPT, "messageId": message_id, "status": status})

    def reply(self, text: str) -> Callback:
        return self.carried({**REPLY, "text": text})

    def signed(self, request: CallbackRequest) -> CallbackRequest:
        query = [pair for pair in parse_qsl(urlsplit(request.url).query) if pair[0] != "token"]
        is_json = request.headers.get("content-type") == "application/json"
        body = json.loads(request.body) if is_json else dict(parse_qsl(request.body.decode()))
        added = {"timestamp": str(int(time()) - self.age), "nonce": "af14c5a6-1e1c-4e1b-b1c1-made-up"}
        added["sig"] = signature(dict(query) | body | added, self.method)
        if not body:
            return replace(request, url=f"{request.url}&{urlencode(added)}")
        content = json.dumps(body | added) if is_json else urlencode(body | added)
        return replace(request, body=content.encode())

    def test_a_bad_proof_is_refused(self, parser: CallbackParser) -> None:
        good = self.signed(self.request(self.receipt([("id-1", "failed")]), kind="status"))
        parser.verify(good)

        def changed(old: bytes, new: bytes) -> CallbackRequest:
            url = good.url.encode().replace(old, new).decode()
            return replace(good, url=url, body=good.body.replace(old, new))

        for request in (changed(b"failed", b"delivered"), changed(b"sig", b"sic"), changed(b"id-1", b"id-2")):
            assert request != good
            with pytest.raises(InvalidSignature):
                parser.verify(request)

    def test_a_long_text_has_an_id_for_each_part(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.accepting(["id-1", "id-2"])

        accepted = backend.send(OutboundMessage(to=TO, text=GSM_TEXT * 9, sender=SENDER, reference=REFERENCE))

        assert (accepted.provider_message_id, accepted.part_ids) == ("id-1", ("id-1", "id-2"))

    def test_a_receipt_repeats_our_reference_and_explains_a_failure(self, parser: CallbackParser) -> None:
        for code, status in (("2", ReportedStatus.UNDELIVERED), ("3", ReportedStatus.INVALID)):
            callback = self.carried({**RECEIPT, "messageId": "id-1", "status": "failed", "err-code": code})

            [report] = parser.parse_status(self.signed(self.request(callback, kind="status", attempt_id="")))

            assert (report.reference, report.status, report.error_code) == (REFERENCE, status, code)

    def test_a_part_of_a_long_reply_is_told(self, parser: CallbackParser) -> None:
        place = {"concat": "true", "concat-ref": "108", "concat-part": "2", "concat-total": "3"}
        callback = self.carried({**REPLY, "text": "made up", **place})

        [reply] = parser.parse_inbound(self.signed(self.request(callback, kind="inbound")))

        assert reply.part == MessagePart("108", 2, 3)

    def test_a_short_validity_is_lengthened_to_what_vonage_takes(self, carrier: FakeCarrier, backend: Sender) -> None:
        carrier.play = self.accepting(["id-1"])
        valid_until = datetime.now(UTC) + timedelta(seconds=5)

        backend.send(OutboundMessage(to=TO, text=GSM_TEXT, sender=SENDER, reference=REFERENCE, valid_until=valid_until))

        assert carrier.received[0].form()["ttl"] == ["20000"]

    def test_a_stored_callback_is_answered_with_200(self, parser: CallbackParser) -> None:
        assert parser.status_response is not None
        assert parser.inbound_response is not None
        assert (parser.status_response.status, parser.inbound_response.status) == (200, 200)


class TestVonageInTheQuery(TestVonage):
    def carried(self, fields: Mapping[str, str]) -> Callback:
        return Callback(query=fields, method="GET")


class TestVonageInJson(TestVonage):
    def carried(self, fields: Mapping[str, str]) -> Callback:
        return json_callback(fields)


class TestVonageByMd5Hash(TestVonage):
    """An API key with the dashboard's first method, and callbacks that are repeated for a day."""

    overrides: ClassVar[Mapping[str, Any]] = {"callback_auth": {"algorithm": "md5hash"}}
    method = "md5hash"
    age = DAY


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("md5", "9c498bc3978181fc230c437018bfbbff"),
        ("sha1", "f2bbbcf173b338019c617dcaa2e529e8effff457"),
        ("sha256", "082c0077a66f3424fdf45a5ab67aa994c0b6b247b648a7eab4848d33dae57f9b"),
        ("md5hash", "6c06e80faf5ffb6e3120a2bc06bacf51"),
    ],
)
def test_a_known_signature_is_made_and_verified(method: str, expected: str) -> None:
    fields = {"messageId": "0A01", "msisdn": "14155550101", "nonce": "n1", "text": "a&b=c", "timestamp": "1700000000"}
    fields["to"] = "14155550100"
    contract = type("Contract", (TestVonage,), {"overrides": {"callback_auth": {"algorithm": method}}})()
    parser = callback_parser(contract.make("http://127.0.0.1:1"))

    assert signature(fields, method) == expected
    assert parser is not None
    body = urlencode({**fields, "sig": expected}).encode()
    parser.verify(CallbackRequest("https://sms.example.com/in", {"content-type": FORM}, body))


RECEIPT = {
    "msisdn": TO[1:],
    "to": SENDER[1:],
    "network-code": "23410",
    "price": "0.03330000",
    "scts": "2610061200",
    "err-code": "0",
    "api-key": "abcd1234",
    "client-ref": REFERENCE,
    "message-timestamp": "2026-10-06 12:00:00",
}
REPLY = {
    "msisdn": TO[1:],
    "to": SENDER[1:],
    "messageId": "0A0000000123ABCD1",
    "type": "text",
    "keyword": "MADE",
    "message-timestamp": "2026-10-06 12:00:00",
}
