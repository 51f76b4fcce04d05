"""Callbacks that a JSON Web Token authenticates: in a header, with claims about the body and the address."""

import hmac
import json
import math
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWS
from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import PyJWTError
from pydantic import Field, field_validator, model_validator

from providers.backends.callback_recipes import MAX_HEADER_LENGTH, Prefix, PublicKey, Recipe
from providers.contract.callbacks import CallbackRequest
from providers.contract.config_types import HeaderName, Secret, Text
from providers.errors import InvalidSignature

DEFAULT_MAX_AGE: Final = 300
# How much the provider's clock may differ from ours, in seconds.
CLOCK_SKEW: Final = 60

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
SHARED_ALGORITHMS: Final[Mapping[str, Any]] = {
    "HS256": HMACAlgorithm.SHA256,
    "HS384": HMACAlgorithm.SHA384,
    "HS512": HMACAlgorithm.SHA512,
}


class _SharedSecret(HMACAlgorithm):
    """The library warns about short secrets at each use. The provider chooses the secret, so the warning helps nobody."""

    def check_key_length(self, key: Any) -> str | None:
        return None


def _tokens() -> PyJWS:
    tokens = PyJWS()
    for name, digest in SHARED_ALGORITHMS.items():
        tokens.unregister_algorithm(name)
        tokens.register_algorithm(name, _SharedSecret(digest))
    return tokens


_TOKENS: Final = _tokens()


class JwtRecipe(Recipe):
    type: Literal["jwt"]
    header: HeaderName
    prefix: Prefix = ""
    secret: Secret | None = None
    public_key: PublicKey | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    issuer: Text | None = None
    payload_hash: bool = True
    url_hash: bool = False
    max_age: Annotated[int, Field(ge=1, le=86_400, strict=True)] | None = DEFAULT_MAX_AGE

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, value: Any) -> Any:
        if isinstance(value, str):
            _public_key(value)
        return value

    @model_validator(mode="after")
    def _the_key_fits_the_algorithms(self) -> Self:
        if (self.secret is None) == (self.public_key is None):
            raise ValueError("needs secret or public_key")
        if any((name in SHARED_ALGORITHMS) != (self.secret is not None) for name in self.algorithms):
            raise ValueError("algorithms: HS256, HS384 and HS512 need secret, the others need public_key")
        return self

    def verify(self, request: CallbackRequest, *, now: datetime) -> None:
        """Raise `InvalidSignature` unless the token is right, recent, and about this body and address."""
        claims = self._claims(request)
        _check_times(claims, now=now.timestamp(), max_age=self.max_age)
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise InvalidSignature("the callback's token has another issuer")
        if self.url_hash and not _is_hash(claims.get("url_hash"), request.url.encode("utf-8", "surrogatepass")):
            raise InvalidSignature("the callback's token is about another address")
        if self.payload_hash and not _fits_body(claims, request.body):
            raise InvalidSignature("the callback's token is about another body")

    def _claims(self, request: CallbackRequest) -> Mapping[str, Any]:
        """The claims of a token with a right signature."""
        given = request.headers.get(self.header.lower(), "").strip()
        token = given[len(self.prefix) :].strip()
        is_readable = token.isascii() and len(given) <= MAX_HEADER_LENGTH
        if not is_readable or not given.lower().startswith(self.prefix.lower()):
            raise InvalidSignature("the callback's token is missing or wrong")
        try:
            claims = json.loads(_TOKENS.decode(token, self._key(), algorithms=list(self.algorithms)))
        except (PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidSignature("the callback's token is missing or wrong") from None
        if not isinstance(claims, dict):
            raise InvalidSignature("the callback's token has no claims")
        return claims

    def _key(self) -> Any:
        return self.secret.get_secret_value() if self.secret is not None else _public_key(self.public_key or "")


def _check_times(claims: Mapping[str, Any], *, now: float, max_age: int | None) -> None:
    """A token is used from `nbf` to `exp`, and at most `max_age` seconds after `iat`; one without an end is refused."""
    issued, begins, ends = (_seconds(claims, name) for name in ("iat", "nbf", "exp"))
    if ends is None and (issued is None or max_age is None):
        raise InvalidSignature("the callback's token has no end")
    is_over = ends is not None and ends < now - CLOCK_SKEW
    is_old = issued is not None and max_age is not None and issued < now - max_age
    is_early = any(begin is not None and begin > now + CLOCK_SKEW for begin in (issued, begins))
    if is_over or is_old or is_early:
        raise InvalidSignature("the callback's token is too old, or of the future")


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None or type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise InvalidSignature("the callback's token has a time that cannot be read")


def _fits_body(claims: Mapping[str, Any], body: bytes) -> bool:
    """`payload_hash` is absent exactly when there is no body."""
    return _is_hash(claims.get("payload_hash"), body) if body else "payload_hash" not in claims


def _is_hash(claim: Any, content: bytes) -> bool:
    expected = sha256(content).hexdigest()
    return isinstance(claim, str) and hmac.compare_digest(claim.encode("utf-8", "surrogatepass"), expected.encode())


def _public_key(pem: str) -> Any:
    try:
        return load_pem_public_key(pem.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM") from None
