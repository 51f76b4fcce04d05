"""The Twilio backend passes the contract tests."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from email.utils import format_datetime
from urllib.parse import parse_qs, urlencode

import pytest
from twilio.request_validator import RequestValidator

from providers.backends.twilio import TwilioBackend
from providers.contract.callbacks import CallbackRequest
from providers.contract.sender import BackendContext, Sender
from providers.errors import InvalidSignature
from tests.contract.callback_kit import CallbackContract
from tests.contract.fake_carrier import FakeCarrier, Play, answer
from tests.contract.kit import CALLBACK_URL, CONTEXT, SECRET, SENDER, TEXT, TO
from tests.contract.lookup_kit import CALLED_AT, StatusLookupContract


class _Form(dict[str, list[str]]):
    def getlist(self, name: str) -> list[str]:
        return self[name]


class TestTwilio(CallbackContract, StatusLookupContract):
    authorization = "Basic " + base64.b64encode(f"AC00:{SECRET}".encode()).decode()

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        config = {"account_sid": "AC00", "auth_token": SECRET, "from_number": SENDER, "api_base_url": url}
        return TwilioBackend(TwilioBackend.Config.model_validate(config), context)

    def accepting_body(self, message_id: str) -> object:
        return {"sid": message_id, "status": "queued"}

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        fields = _Form(parse_qs(body.decode("latin-1"), keep_blank_values=True))
        if body.isascii():
            fields = _Form(parse_qs(body.decode(), keep_blank_values=True))
        signature = RequestValidator(secret or SECRET).compute_signature(url, fields)
        return CallbackRequest(url=url, headers={"x-twilio-signature": signature}, body=body)

    def unauthenticated(self, body: bytes) -> CallbackRequest:
        return CallbackRequest(url=CALLBACK_URL, headers={}, body=body)

    def receipt_body(self, message_id: str | None, raw_status: str | None) -> bytes:
        return _form({"AccountSid": "AC00", "MessageSid": message_id, "MessageStatus": raw_status, "To": TO})

    def inbound_body(self, text: str, sender: str = SENDER) -> bytes:
        return _form({"MessageSid": "in-1", "From": sender, "To": TO, "Body": text, "NumMedia": "0"})

    def sent_text(self, carrier: FakeCarrier) -> dict[str, str]:
        sent = carrier.received[-1].form()
        return {"to": sent["To"][0], "text": sent["Body"][0]}

    def malformed_bodies(self) -> dict[str, bytes]:
        return {"JSON": b'{"MessageSid": "a", "MessageStatus": "sent"}', "too many fields": b"a=b&" * 2000}

    def found(self, message_id: str, raw_status: str) -> Play:
        message = {
            "sid": message_id,
            "status": raw_status,
            "body": TEXT,
            "direction": "outbound-api",
            "date_created": format_datetime(CALLED_AT),
            "error_code": None,
        }
        return answer(200, {"messages": [message], "next_page_uri": None})

    def not_found(self) -> Play:
        return answer(200, {"messages": [], "next_page_uri": None})

    @pytest.mark.parametrize(
        ("opt_out_type", "keyword"),
        [("STOP", "stop"), ("start", "start"), ("HELP", "help"), ("LATER", "other"), ("", None)],
    )
    def test_a_keyword_that_twilio_has_answered_is_known(
        self, backend: TwilioBackend, opt_out_type: str, keyword: str | None
    ) -> None:
        fields = {"MessageSid": "in-1", "From": SENDER, "To": TO, "Body": "Arrêt", "OptOutType": opt_out_type}

        [inbound] = backend.parse_inbound(self.authenticated(_form(fields)))
        assert inbound.keyword == keyword

    def test_a_signature_for_another_address_is_refused(self, backend: TwilioBackend) -> None:
        request = self.authenticated(self.receipt_body("id-1", "delivered"))

        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, url=f"{CALLBACK_URL}&attempt=2"))

    def test_a_signature_of_other_fields_is_refused(self, backend: TwilioBackend) -> None:
        request = self.authenticated(self.receipt_body("id-1", "failed"))

        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, body=self.receipt_body("id-1", "delivered")))

    def test_a_repeated_field_is_signed_with_all_values(self, backend: TwilioBackend) -> None:
        request = self.authenticated(b"MessageSid=a&MessageStatus=sent&Extra=2&Extra=1")

        backend.verify(request)
        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, body=b"MessageSid=a&MessageStatus=sent&Extra=2"))


def _form(fields: Mapping[str, str | None]) -> bytes:
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()
