"""Callbacks as providers sign them, and the recipes that verify them, for the tests of `callback_auth`."""

import base64
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter

from providers.backends.callback_auth import CallbackAuth, CallbackAuthConfig
from providers.contract.callbacks import CallbackRequest
from providers.errors import InvalidSignature

SECRET = "made-up-secret"
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
FORM = "application/x-www-form-urlencoded"
ADDRESS = "https://sms.example.com/in"
CONFIG: TypeAdapter[CallbackAuthConfig] = TypeAdapter(CallbackAuthConfig)

VONAGE = {
    "type": "hmac",
    "field": "sig",
    "signed": "{sorted_pairs}",
    "timestamp_field": "timestamp",
    "secret": SECRET,
}
VONAGE_FORM = b"msisdn=14155550101&to=14155550100&messageId=0A01&text=a%26b%3Dc&timestamp=1700000000&nonce=n1"
VONAGE_SIGNATURES = {
    "md5": "9c498bc3978181fc230c437018bfbbff",
    "sha1": "f2bbbcf173b338019c617dcaa2e529e8effff457",
    "sha256": "082c0077a66f3424fdf45a5ab67aa994c0b6b247b648a7eab4848d33dae57f9b",
    "md5hash": "6c06e80faf5ffb6e3120a2bc06bacf51",
}
TELNYX_SIGNATURE = "TAeCTcLHKOx4nfxqROXV1Zvv78xtLazOMJCIHhd8E4OvTZFBl2llsaZWyh34DQwjOIkIbYDQYJN17pjHksBICw=="
TELNYX = {
    "type": "ed25519",
    "header": "telnyx-signature-ed25519",
    "signed": "{timestamp}|{body}",
    "timestamp_header": "telnyx-timestamp",
    "public_key": "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
}
PLIVO_V3 = {
    "type": "hmac",
    "header": "X-Plivo-Signature-V3",
    "nonce_header": "X-Plivo-Signature-V3-Nonce",
    "encoding": "base64",
    "signed": "{sorted_url}{sorted_fields}.{nonce}",
    "secret": "made-up-token",
}
PLIVO_FORM = b"To=14155550100&From=14155550101&Text=hi"
SINCH = {
    "type": "hmac",
    "header": "X-Sinch-Webhook-Signature",
    "nonce_header": "X-Sinch-Webhook-Signature-Nonce",
    "timestamp_header": "X-Sinch-Webhook-Signature-Timestamp",
    "encoding": "base64",
    "signed": "{body}.{nonce}.{timestamp}",
    "secret": SECRET,
}
JWT_SECRET = "made-up-secret-made-up-secret-32"
VONAGE_JWT = {
    "type": "jwt",
    "header": "Authorization",
    "prefix": "Bearer ",
    "algorithms": ["HS256"],
    "secret": JWT_SECRET,
}
BIRD = {
    "type": "jwt",
    "header": "MessageBird-Signature-JWT",
    "algorithms": ["HS256", "HS384", "HS512"],
    "issuer": "MessageBird",
    "url_hash": True,
    "secret": JWT_SECRET,
}


def auth(config: Any, **options: Any) -> CallbackAuth:
    return CallbackAuth(CONFIG.validate_python(config), slug="acme", callback_keys=("key",), **options)


def request(body: bytes = b"", headers: Mapping[str, str] | None = None, *, url: str = ADDRESS) -> CallbackRequest:
    return CallbackRequest(url, {name.lower(): value for name, value in (headers or {}).items()}, body)


def is_verified(config: Any, callback: CallbackRequest, *, now: datetime = NOW) -> bool:
    try:
        auth(config).verify(callback, now=now)
    except InvalidSignature:
        return False
    return True


def form(body: bytes = PLIVO_FORM, headers: Mapping[str, str] | None = None, *, url: str = ADDRESS) -> CallbackRequest:
    return request(body, {"Content-Type": FORM, **(headers or {})}, url=url)


def plivo(signature: str, *, body: bytes = PLIVO_FORM, url: str = ADDRESS, version: str = "V3") -> CallbackRequest:
    headers = {f"X-Plivo-Signature-{version}": signature, f"X-Plivo-Signature-{version}-Nonce": "12345"}
    return form(body, headers, url=url)


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def digest(secret: str, content: bytes) -> bytes:
    return hmac.digest(secret.encode(), content, "sha256")


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def sha(content: bytes) -> str:
    return sha256(content).hexdigest()
