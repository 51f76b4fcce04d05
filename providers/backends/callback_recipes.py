"""Signatures over a part of a callback, as an account's `callback_auth` describes them: HMAC and Ed25519."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from providers.backends.signed_content import SignedParts, SignedTemplate, placeholders, render
from providers.contract.callbacks import CallbackRequest
from providers.contract.config_types import EnvOrText, EnvReference, HeaderName, Secret
from providers.errors import InvalidSignature

MAX_HEADER_LENGTH: Final = 8192
MAX_SIGNATURES: Final = 16  # in one header
MAX_NONCE_LENGTH: Final = 256
DEFAULT_TOLERANCE: Final = 300
# Later seconds than these are milliseconds: as seconds they are after the year 5000.
FIRST_MILLISECONDS: Final = 10**11
UNKEYED_MD5: Final = "md5hash"

_TIMESTAMP: Final = re.compile(r"[0-9]{1,16}")
_PRINTABLE: Final = re.compile(r"[ -~]+")
_HEX_KEY: Final = re.compile(r"[0-9A-Fa-f]{64}")

FieldName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,50}$")]
PublicKey = Annotated[str, StringConstraints(min_length=1, max_length=4096), EnvOrText]


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SignatureRecipe(Recipe):
    """What every signature has: its place and notation, what is signed, and how old it may be."""

    header: HeaderName | None = None
    field: FieldName | None = None
    prefix: Prefix = ""
    encoding: Literal["hex", "base64"] = "hex"
    signed: SignedTemplate = "{body}"
    timestamp_header: HeaderName | None = None
    timestamp_field: FieldName | None = None
    nonce_header: HeaderName | None = None
    tolerance: Annotated[int, Field(ge=1, le=86_400, strict=True)] | None = DEFAULT_TOLERANCE

    @model_validator(mode="after")
    def _places_and_placeholders_agree(self) -> Self:
        names = placeholders(self.signed)
        has_timestamp = self.timestamp_header is not None or self.timestamp_field is not None
        if (self.header is None) == (self.field is None):
            raise ValueError("needs header or field, where the signature is")
        if self.timestamp_header is not None and self.timestamp_field is not None:
            raise ValueError("has timestamp_header and timestamp_field; only one can be used")
        if "timestamp" in names and not has_timestamp:
            raise ValueError("signed has {timestamp}, which needs timestamp_header or timestamp_field")
        if self.timestamp_header is not None and "timestamp" not in names:
            raise ValueError("timestamp_header is not covered by the signature; add {timestamp} to signed")
        if ("nonce" in names) != (self.nonce_header is not None):
            raise ValueError("{nonce} in signed and nonce_header belong together")
        if "tolerance" in self.model_fields_set and not has_timestamp:
            raise ValueError("tolerance needs timestamp_header or timestamp_field")
        return self

    def verify(self, request: CallbackRequest, *, now: datetime) -> None:
        """Raise `InvalidSignature` unless one of the signatures is right and its timestamp is recent."""
        parts = SignedParts(request, signature_field=self.field or "")
        timestamp = self._timestamp(parts, now)
        nonce = _header(request, self.nonce_header) if self.nonce_header else ""
        if self.nonce_header and (len(nonce) > MAX_NONCE_LENGTH or not _PRINTABLE.fullmatch(nonce)):
            raise InvalidSignature("the callback's nonce is missing or wrong")
        parts = SignedParts(request, timestamp, nonce, self.field or "")
        content = render(self.signed, parts)
        if not any(self._is_right(signature, content) for signature in self._signatures(parts)):
            raise InvalidSignature("the callback's signature is missing or wrong")

    def _timestamp(self, parts: SignedParts, now: datetime) -> str:
        """The timestamp as it was sent, "" for a recipe without one."""
        if self.timestamp_header:
            timestamp = _header(parts.request, self.timestamp_header)
        elif self.timestamp_field:
            timestamp = parts.fields.get(self.timestamp_field, "")
        else:
            return ""
        if not _TIMESTAMP.fullmatch(timestamp):
            raise InvalidSignature("the callback's timestamp is missing or wrong")
        seconds = int(timestamp) / (1000 if int(timestamp) >= FIRST_MILLISECONDS else 1)
        if self.tolerance is not None and abs(now.timestamp() - seconds) > self.tolerance:
            raise InvalidSignature("the callback's timestamp is too old, or in the future")
        return timestamp

    def _signatures(self, parts: SignedParts) -> Iterator[bytes]:
        """The signatures, decoded. What has another prefix or cannot be decoded is passed over."""
        given = _header(parts.request, self.header) if self.header else parts.fields.get(self.field or "", "")
        if len(given) > MAX_HEADER_LENGTH:
            return
        for item in given.split(",", MAX_SIGNATURES)[:MAX_SIGNATURES]:
            text = item.strip()
            if text.lower().startswith(self.prefix.lower()):
                encoded = text[len(self.prefix) :].strip()
                try:
                    yield bytes.fromhex(encoded) if self.encoding == "hex" else base64.b64decode(encoded, validate=True)
                except (binascii.Error, ValueError):
                    continue

    def _is_right(self, signature: bytes, content: bytes) -> bool:
        raise NotImplementedError


class HmacRecipe(SignatureRecipe):
    """A digest with a shared secret. `md5hash` is Vonage's: the MD5 of the content and the secret, without a key."""

    type: Literal["hmac"]
    algorithm: Literal["sha256", "sha1", "sha512", "md5", "md5hash"] = "sha256"
    secret: Secret

    @model_validator(mode="after")
    def _md5_is_for_sorted_pairs(self) -> Self:
        if self.algorithm in {"md5", UNKEYED_MD5} and "sorted_pairs" not in placeholders(self.signed):
            raise ValueError("MD5 is only for {sorted_pairs}; use sha256")
        return self

    def _is_right(self, signature: bytes, content: bytes) -> bool:
        secret = self.secret.get_secret_value().encode()
        if self.algorithm == UNKEYED_MD5:
            expected = hashlib.md5(content + secret, usedforsecurity=False).digest()
        else:
            expected = hmac.digest(secret, content, self.algorithm)
        return hmac.compare_digest(signature, expected)


class Ed25519Recipe(SignatureRecipe):
    """A signature that the provider's public key proves: 32 bytes as base64 or hex, or PEM."""

    type: Literal["ed25519"]
    encoding: Literal["hex", "base64"] = "base64"
    public_key: PublicKey

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, value: Any) -> Any:
        if not isinstance(value, EnvReference):
            _ed25519_key(value)
        return value

    def _is_right(self, signature: bytes, content: bytes) -> bool:
        try:
            _ed25519_key(self.public_key).verify(signature, content)
        except WrongSignature:
            return False
        return True


def _header(request: CallbackRequest, name: str) -> str:
    return request.headers.get(name.lower(), "").strip()


def _ed25519_key(text: str) -> Ed25519PublicKey:
    try:
        if text.lstrip().startswith("-----BEGIN"):
            key = load_pem_public_key(text.strip().encode())
        elif _HEX_KEY.fullmatch(text.strip()):
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
        else:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not an Ed25519 public key (32 bytes as base64 or hex, or PEM)") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is not an Ed25519 public key")  # noqa: TRY004 (pydantic reports this class)
    return key
