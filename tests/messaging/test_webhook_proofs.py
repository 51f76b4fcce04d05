"""The other ways in which providers authenticate callbacks, through the endpoint."""

import base64
import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from messaging.models import ProviderCallback
from tests.factories import AccountFactory, AttemptFactory, MessageFactory
from tests.messaging.api.conftest import assert_problem
from tests.messaging.test_webhooks import DELIVERED, FORM, assert_nothing_stored, client, send

__all__ = ["client"]
pytestmark = pytest.mark.django_db


class TestOtherProofs:
    @pytest.fixture(autouse=True)
    def _secret(self, monkeypatch) -> None:
        monkeypatch.setenv("PROVIDER_ACME_SECRET", "s3cret-s3cret")
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")

    @pytest.mark.parametrize(("secret", "status"), [("s3cret-s3cret", 202), ("other", 403)])
    def test_a_signature_over_the_body(self, client, secret: str, status: int) -> None:
        config = {
            "url": "http://127.0.0.1:9/",
            "callback_auth": "hmac",
            "callback_secret": {"env": "PROVIDER_ACME_SECRET"},
        }
        AccountFactory(slug="acme", config=config)
        body = json.dumps(DELIVERED).encode()
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

        response = send(client, "/webhooks/acme/status/", body, **{"X-Signature": signature})

        assert response.status_code == status
        assert ProviderCallback.objects.count() == (status == 202)

    @pytest.mark.parametrize(("password", "status"), [("s3cret-s3cret", 202), ("other", 403)])
    def test_user_and_password(self, client, password: str, status: int) -> None:
        config = {
            "url": "http://127.0.0.1:9/", "callback_auth": "basic", "callback_username": "carrier",
            "callback_password": {"env": "PROVIDER_ACME_SECRET"},
        }  # fmt: skip
        AccountFactory(slug="acme", config=config)
        header = "Basic " + base64.b64encode(f"carrier:{password}".encode()).decode()

        response = send(client, "/webhooks/acme/status/", Authorization=header)

        assert response.status_code == status
        assert ProviderCallback.objects.count() == (status == 202)

    @pytest.fixture
    def twilio(self):
        config = {"account_sid": "AC123", "auth_token": {"env": "TWILIO_AUTH_TOKEN"}, "from_number": "+15005550006"}
        account = AccountFactory(slug="twilio", backend="twilio", config=config)
        message = MessageFactory(sent=True, provider=account, provider_message_id="SM1")
        return AttemptFactory(message=message, provider=account, provider_message_id="SM1")

    FIELDS = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155550101", "Empty": ""}

    def sign(self, url: str, fields: dict[str, str]) -> str:
        return RequestValidator("0123456789abcdef0123456789abcdef").compute_signature(url, fields)

    @pytest.mark.parametrize(
        "path", ["/webhooks/twilio/status/", "/webhooks/twilio/status", "/api/v1/webhooks/twilio/status/?a=1&b=%2B"]
    )
    def test_twilios_signature_over_the_public_url(self, client, twilio, settings, path: str) -> None:
        settings.PUBLIC_URL = "https://sms.example"
        signature = self.sign(f"https://sms.example{path}", self.FIELDS)

        headers = {"X-Twilio-Signature": signature}
        response = send(client, path, urlencode(self.FIELDS), content_type=FORM, **headers)

        assert response.status_code == 200
        twilio.message.refresh_from_db()
        assert twilio.message.status == "delivered"

    @pytest.mark.parametrize(
        "signature", ["", "x", "sign elsewhere", "sign others"], ids=["none", "nonsense", "elsewhere", "others"]
    )
    def test_an_invalid_signature_stores_nothing(self, client, twilio, settings, signature: str) -> None:
        settings.PUBLIC_URL = "https://sms.example"
        path = "/webhooks/twilio/status/"
        if signature == "sign elsewhere":
            signature = self.sign(f"http://testserver{path}", self.FIELDS)
        elif signature == "sign others":
            signature = self.sign(f"https://sms.example{path}", {**self.FIELDS, "MessageSid": "SM2"})

        headers = {"X-Twilio-Signature": signature}
        response = send(client, path, urlencode(self.FIELDS), content_type=FORM, **headers)

        assert_problem(response, 403, "permission_denied")
        assert_nothing_stored()
