"""The Twilio backend passes the contract tests."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from email.utils import format_datetime
from urllib.parse import parse_qs, urlencode

import pytest
from twilio.request_validator import RequestValidator, get_signature_algorithm

from providers.backends.twilio import TwilioBackend
from providers.contract.callbacks import CallbackRequest
from providers.contract.sender import BackendContext, Sender
from providers.errors import InvalidSignature, MalformedCallback
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


class TestTwilioGet(TestTwilio):
    """Twilio calls with GET where it is configured to: the fields are in the query, which the signature covers."""

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        url = f"{url}&{body.decode('latin-1')}"
        signature = RequestValidator(secret or SECRET).compute_signature(url, {})
        return CallbackRequest(url=url, headers={"x-twilio-signature": signature}, body=b"", method="GET")

    def unauthenticated(self, body: bytes) -> CallbackRequest:
        return CallbackRequest(url=f"{CALLBACK_URL}&{body.decode('latin-1')}", headers={}, body=b"", method="GET")

    def test_a_signature_of_other_fields_is_refused(self, backend: TwilioBackend) -> None:
        request = self.authenticated(self.receipt_body("id-1", "failed"))

        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, url=request.url.replace("failed", "delivered")))

    def test_a_repeated_field_is_signed_with_all_values(self, backend: TwilioBackend) -> None:
        request = self.authenticated(b"MessageSid=a&MessageStatus=sent&Extra=2&Extra=1")

        backend.verify(request)
        with pytest.raises(InvalidSignature):
            backend.verify(replace(request, url=request.url.removesuffix("&Extra=1")))

    def test_fields_in_a_body_do_not_count(self, backend: TwilioBackend) -> None:
        request = replace(self.authenticated(b"Extra=1"), body=self.receipt_body("id-1", "delivered"))

        backend.verify(request)
        with pytest.raises(MalformedCallback):
            backend.parse_status(request)


class TestTwilioSharedKey(TestTwilio):
    """Twilio signs with a shared key where a rule of the account says so, and names the key and the algorithm."""

    shared_secret = "s3cr3t-of-the-shared-key"

    def make(self, url: str, context: BackendContext = CONTEXT) -> Sender:
        config = {
            "account_sid": "AC00",
            "auth_token": SECRET,
            "from_number": SENDER,
            "api_base_url": url,
            "shared_keys": {"webhooks_sharedkey_1": self.shared_secret, "webhooks_sharedkey_2": "another-key"},
        }
        return TwilioBackend(TwilioBackend.Config.model_validate(config), context)

    def authenticated(self, body: bytes, *, secret: str | None = None, url: str = CALLBACK_URL) -> CallbackRequest:
        return self.signed(body, "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256", secret=secret, url=url)

    def signed(
        self, body: bytes, settings: str, *, secret: str | None = None, url: str = CALLBACK_URL
    ) -> CallbackRequest:
        request = super().authenticated(body, url=url)
        fields = _Form(parse_qs(body.decode("latin-1"), keep_blank_values=True))
        algorithm = get_signature_algorithm(settings) if "HMAC_" in settings else None
        validator = RequestValidator(secret or self.shared_secret)
        signature = validator.compute_signature(url, fields, algorithm)
        headers = {"x-twilio-signature": signature, "x-twilio-webhooks-signature-settings": settings}
        return replace(request, headers=headers)

    def test_callbacks_that_no_rule_covers_are_still_signed_with_the_token(self, backend: TwilioBackend) -> None:
        backend.verify(super().authenticated(self.receipt_body("id-1", "delivered")))

    @pytest.mark.parametrize(
        "settings",
        [
            "key=webhooks_sharedkey_1, algorithm=hmac_sha256",
            "algorithm=HMAC_SHA1,key=webhooks_sharedkey_1",
            "key=webhooks_sharedkey_1",
        ],
    )
    def test_the_settings_name_the_key_and_the_algorithm(self, backend: TwilioBackend, settings: str) -> None:
        request = self.signed(
            self.receipt_body("id-1", "delivered"), settings.replace("hmac", "HMAC").replace("sha", "SHA")
        )

        backend.verify(replace(request, headers={**request.headers, "x-twilio-webhooks-signature-settings": settings}))

    @pytest.mark.parametrize(
        "settings",
        [
            "key=webhooks_sharedkey_2,algorithm=HMAC_SHA256",
            "key=webhooks_sharedkey_3,algorithm=HMAC_SHA256",
            "key=webhooks_sharedkey_1,algorithm=HMAC_SHA1",
            "key=webhooks_sharedkey_1,algorithm=HMAC_MD5",
            "key=webhooks_sharedkey_1,algorithm=none",
            "algorithm=HMAC_SHA256",
            "webhooks_sharedkey_1",
            ",",
        ],
        ids=["another key", "an unknown key", "another algorithm", "MD5", "none", "no key", "no name", "nothing"],
    )
    def test_other_settings_than_those_of_the_signature_are_refused(
        self, backend: TwilioBackend, settings: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = self.authenticated(self.receipt_body("id-1", "delivered"))

        with pytest.raises(InvalidSignature):
            backend.verify(
                replace(request, headers={**request.headers, "x-twilio-webhooks-signature-settings": settings})
            )

        assert caplog.records == []  # the header is not authenticated: nothing of it is logged

    def test_the_token_is_no_shared_key(self, backend: TwilioBackend) -> None:
        settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"

        with pytest.raises(InvalidSignature):
            backend.verify(self.signed(self.receipt_body("id-1", "delivered"), settings, secret=SECRET))


def _form(fields: Mapping[str, str | None]) -> bytes:
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()
