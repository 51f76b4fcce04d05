"""`generic_http` passes the contract tests with each kind of callback authentication."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from providers import callback_tokens
from providers.backends.generic_http import GenericHttpBackend
from providers.contract.callbacks import CallbackRequest, ReportedStatus, StatusReport
from providers.contract.sender import BackendContext, Sender
from providers.errors import InvalidSignature
from tests.contract.callback_kit import CallbackContract
from tests.contract.fake_carrier import FakeCarrier, Play, answer
from tests.contract.kit import CALLBACK_URL, CONTEXT, SECRET, SENDER, SLUG, TO
from tests.contract.lookup_kit import StatusLookupContract

FIELDS = {"from": "from", "callback_url": "callback_url", "media": "media", "id": "reference"}


class GenericHttpContract(CallbackContract):
    success_status = 200
    auth_config: dict[str, Any]

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        config = {"url": f"{url}/send", "fields": FIELDS, "headers": {"X-Api-Key": SECRET}, **self.auth_config}
        if self.has_status_lookup:
            config["status_url"] = f"{url}/status/{{id}}"
        return GenericHttpBackend(GenericHttpBackend.Config.model_validate(config), context)

    def accepting_body(self, message_id: str) -> object:
        return {"message_id": message_id}

    def unauthenticated(self, body: bytes) -> CallbackRequest:
        return CallbackRequest(url=CALLBACK_URL, headers={"content-type": "application/json"}, body=body)

    def receipt_body(self, message_id: str | None, raw_status: str | None) -> bytes:
        fields = {"message_id": message_id, "status": raw_status}
        return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    def inbound_body(self, text: str, sender: str = SENDER) -> bytes:
        return json.dumps({"id": "in-1", "from": sender, "to": TO, "message": text}).encode()

    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        sent = carrier.received[-1].json()
        return {"to": sent["to"], "text": sent["message"]}

    def malformed_bodies(self) -> dict[str, bytes]:
        return {
            "not JSON": b"{",
            "a list": b"[]",
            "a number": b"5",
            "a constant that is not JSON": b'{"message_id": "a", "status": NaN}',
            "nested too deeply": b"[" * 100_000,
            "an endless number": b'{"message_id": ' + b"9" * 10_000 + b', "status": "delivered"}',
            "an id that is true": b'{"message_id": true, "status": "delivered"}',
            "an id that is a list": b'{"message_id": ["a"], "status": "delivered"}',
            "half a character": b'{"message_id": "\\ud800", "status": "delivered"}',
            "a status that is an object": b'{"message_id": "a", "status": {"a": 1}}',
        }


class TestToken(GenericHttpContract, StatusLookupContract):
    auth_config: dict[str, Any] = {"callback_auth": "token"}

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        keys = (secret,) if secret else CONTEXT.callback_keys
        token = callback_tokens.make(slug=SLUG, attempt_id="", keys=keys)
        return replace(self.unauthenticated(body), url=url, token=token)

    def found(self, message_id: str, raw_status: str) -> Play:
        return answer(200, {"message_id": message_id, "status": raw_status})

    def not_found(self) -> Play:
        return answer(404, {"error": "unknown message"})

    def test_a_receipt_at_the_messages_own_address_needs_no_id(self, backend: GenericHttpBackend) -> None:
        token = callback_tokens.make(slug=SLUG, attempt_id="attempt-1", keys=CONTEXT.callback_keys)
        request = replace(self.unauthenticated(self.receipt_body(None, "delivered")), token=token)

        [report] = backend.parse_status(request)

        assert report == StatusReport("", ReportedStatus.DELIVERED, "delivered")

    def test_a_token_of_another_account_is_refused(self, backend: GenericHttpBackend) -> None:
        token = callback_tokens.make(slug="other", attempt_id="attempt-1", keys=CONTEXT.callback_keys)

        with pytest.raises(InvalidSignature):
            backend.verify(replace(self.unauthenticated(b"{}"), token=token))

    def test_a_token_of_the_former_key_passes(self, backend: GenericHttpBackend) -> None:
        token = callback_tokens.make(slug=SLUG, attempt_id="attempt-1", keys=("former-key",))

        backend.verify(replace(self.unauthenticated(b"{}"), token=token))


class TestHmac(GenericHttpContract):
    auth_config: dict[str, Any] = {"callback_auth": "hmac", "callback_secret": SECRET}

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        signature = hmac.new((secret or SECRET).encode(), body, hashlib.sha256).hexdigest()
        unauthenticated = self.unauthenticated(body)
        return replace(
            unauthenticated, url=url, headers={**unauthenticated.headers, "x-signature": f"sha256={signature}"}
        )

    def test_a_signature_of_another_body_is_refused(self, backend: GenericHttpBackend) -> None:
        request = self.authenticated(self.receipt_body("id-1", "failed"))

        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, body=self.receipt_body("id-1", "delivered")))


class TestBasic(GenericHttpContract):
    auth_config: dict[str, Any] = {
        "callback_auth": "basic",
        "callback_username": "carrier",
        "callback_password": SECRET,
    }

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        credentials = base64.b64encode(f"carrier:{secret or SECRET}".encode()).decode()
        unauthenticated = self.unauthenticated(body)
        return replace(
            unauthenticated, url=url, headers={**unauthenticated.headers, "authorization": f"Basic {credentials}"}
        )
