"""The AWS backend passes the contract tests. SNS signs the body, so what the kit calls a body is its `Message`."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from providers.backends.aws import AwsBackend
from providers.backends.aws_sns import MAX_AGE
from providers.contract.callbacks import CallbackRequest
from providers.contract.sender import BackendContext, Sender
from providers.errors import InvalidSignature
from tests.contract.callback_kit import SignedTimeContract
from tests.contract.fake_carrier import FakeCarrier, Received
from tests.contract.kit import CALLBACK_URL, CONTEXT, SECRET, SENDER, TO
from tests.contract.sns import TOPIC, FakeSns, Signer, changed

REGION, KEY_ID, TOKEN = "eu-west-1", "AKIAIOSFODNN7EXAMPLE", f"token-{SECRET}"


class TestAws(SignedTimeContract):
    success_status = 200
    delivered = "TEXT_DELIVERED"
    oldest = MAX_AGE
    sns: FakeSns

    @pytest.fixture(autouse=True)
    def sns_on_loopback(self) -> Iterator[None]:
        with closing(FakeSns()) as sns:
            self.sns = sns
            yield

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        config = {
            "region": REGION,
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
            "session_token": TOKEN,
            "from_number": SENDER,
            "topic_arns": [TOPIC],
            "endpoint_url": url,
        }
        return AwsBackend(AwsBackend.Config.model_validate(config), context, self.sns.fetch)

    def accepting_body(self, message_id: str) -> object:
        return {"MessageId": message_id}

    def is_authorized(self, request: Received) -> bool:
        return request.headers["authorization"] == signature(request)

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        return _request(Signer(key=secret or "sns").body(_text(body)), url)

    def authenticated_at(self, body: bytes, at: datetime) -> CallbackRequest:
        return _request(Signer(at=at).body(_text(body)))

    def unauthenticated(self, body: bytes) -> CallbackRequest:
        return _request(changed(Signer().body(_text(body)), Signature=None, SignatureVersion=None))

    def garbled(self, request: CallbackRequest, garbage: str) -> CallbackRequest:
        return replace(request, body=changed(request.body, Signature=garbage))

    def receipt_body(self, message_id: str | None, raw_status: str | None) -> bytes:
        return _json({"eventType": raw_status, "isFinal": True, "messageId": message_id, "destinationPhoneNumber": TO})

    def inbound_body(self, text: str, sender: str = SENDER) -> bytes:
        return _json(
            {
                "originationNumber": sender,
                "destinationNumber": TO,
                "messageKeyword": "KEYWORD_1",
                "messageBody": text,
                "inboundMessageId": "in-1",
                "previousPublishedMessageId": "id-1",
            }
        )

    def malformed_bodies(self) -> dict[str, bytes]:
        return {
            "not JSON": b"{",
            "a list": b"[]",
            "a number": b"5",
            "an id that is a list": b'{"messageId": ["a"], "eventType": "TEXT_DELIVERED"}',
            "half a character": b'{"messageId": "\\ud800", "eventType": "TEXT_DELIVERED"}',
            "nested too deeply": b"[" * 100_000,
        }

    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        sent = carrier.received[-1].json()
        return {"to": sent["DestinationPhoneNumber"], "text": sent["MessageBody"]}

    def test_every_request_is_signed_for_its_own_content(self, carrier: FakeCarrier, backend: Sender) -> None:
        self.test_an_accepted_message_has_the_providers_id(carrier, backend)

        [request] = carrier.received
        assert request.headers["authorization"] == signature(request)
        assert request.headers["authorization"] != signature(replace(request, body=request.body + b" "))
        assert request.headers["x-amz-security-token"] == TOKEN

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00\x80", b"{", b"[]", b"5", b"{}", b"a" * 5_000_000], ids=len)
    def test_a_request_that_is_not_one_of_sns_is_not_authenticated(self, backend: AwsBackend, body: bytes) -> None:
        with pytest.raises(InvalidSignature):
            backend.verify(_request(body))

        assert self.sns.asked == []


def signature(request: Received) -> str:
    """What AWS expects in `Authorization`, computed from the request as it arrived."""
    signed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in signed}
    arrived = AWSRequest(request.method, f"http://{headers['host']}{request.target}", headers, request.body)
    arrived.context["timestamp"] = request.headers["x-amz-date"]
    expected = SigV4Auth(Credentials(KEY_ID, SECRET), "sms-voice", REGION)
    value = expected.signature(expected.string_to_sign(arrived, expected.canonical_request(arrived)), arrived)
    scope = f"{KEY_ID}/{request.headers['x-amz-date'][:8]}/{REGION}/sms-voice/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(signed)}, Signature={value}"


def _request(body: bytes, url: str = CALLBACK_URL) -> CallbackRequest:
    return CallbackRequest(url=url, headers={"content-type": "text/plain; charset=UTF-8"}, body=body)


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
