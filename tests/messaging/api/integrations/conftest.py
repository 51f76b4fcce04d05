"""A client of the integrations, and one that posts as Supabase does."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse

from messaging.models import AlertReceiver
from tests.factories import HOOK_SECRET, AlertReceiverFactory, SenderFactory, UserFactory
from tests.messaging.api.conftest import Api, anonymous, api, installed, stranger

__all__ = ["anonymous", "api", "installed", "stranger"]  # the fixtures of the API

Hook = Callable[..., HttpResponse]
OTP = "561166"


@pytest.fixture
def ops(api: Api) -> AlertReceiver:
    SenderFactory(number="+15005550006", is_default=True)
    return AlertReceiverFactory(name="ops", owner=api.user, recipients=["+14155550101", "+14155550102"])


@pytest.fixture
def hook_receiver(installed) -> AlertReceiver:
    owner = UserFactory()
    owner.user_permissions.add(Permission.objects.get(codename="add_message"))
    SenderFactory(number="+15005550006", is_default=True)
    return AlertReceiverFactory(hook=True, name="sign-in", owner=owner)


def signature(body: str, *, webhook_id: str, timestamp: int, secret: str = HOOK_SECRET) -> str:
    key = base64.b64decode(secret.removeprefix("v1,whsec_"))
    digest = hmac.new(key, f"{webhook_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def hook_body(**changes: Any) -> dict[str, Any]:
    """As Supabase Auth 2.180 sends it, shortened. It stores numbers without a plus."""
    return {
        "metadata": {
            "uuid": "0f0d6b3e-38a8-4a27-93a1-6f4a51f4e2b5",
            "time": "2026-11-22T09:00:00Z",
            "name": "send-sms",
        },
        "user": {
            "id": "6481a5c1-3d37-4a56-9f6a-bee08c554965",
            "aud": "authenticated",
            "role": "authenticated",
            "email": "",
            "phone": "14155550101",
            "app_metadata": {"provider": "phone", "providers": ["phone"]},
            "identities": [],
            "is_anonymous": False,
        },
        "sms": {"otp": OTP, "phone": "14155550101"},
        **changes,
    }


@pytest.fixture
def hook(anonymous: Api) -> Hook:
    def hook(
        body: dict[str, Any] | str | None = None,
        *,
        query: str = "",
        webhook_id: str = "1",
        age: int = 0,
        **headers: str,
    ) -> HttpResponse:
        text = body if isinstance(body, str) else json.dumps(hook_body() if body is None else body)
        timestamp = int(time.time()) - age
        given = {
            "webhook_id": webhook_id,
            "webhook_timestamp": str(timestamp),
            "webhook_signature": signature(text, webhook_id=webhook_id, timestamp=timestamp),
            **headers,
        }
        return anonymous.post(f"integrations/supabase/{query}", data=text, **given)

    return hook
