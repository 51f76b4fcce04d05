"""How an account's callbacks are authenticated: the values of `callback_auth`, and their verification."""

import base64
import binascii
import hmac
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, SecretStr, Tag

from providers import callback_tokens
from providers.backends.callback_jwt import JwtRecipe
from providers.backends.callback_recipes import Ed25519Recipe, HmacRecipe, Recipe
from providers.contract.callbacks import CallbackRequest
from providers.contract.config_types import Secret, Text
from providers.errors import InvalidSignature

Word = Literal["token", "basic", "hmac"]


class BasicRecipe(Recipe):
    type: Literal["basic"]
    username: Text
    password: Secret

    def verify(self, request: CallbackRequest, *, now: datetime) -> None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        expected = f"{self.username}:{self.password.get_secret_value()}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(given, expected):
            raise InvalidSignature("the callback's credentials are missing or wrong")


def _kind(value: Any) -> str | None:
    """The tag of a value in the union below."""
    if isinstance(value, str):
        return "word"
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) else None


CallbackAuthConfig = Annotated[
    Annotated[Word, Tag("word")]
    | Annotated[BasicRecipe, Tag("basic")]
    | Annotated[HmacRecipe, Tag("hmac")]
    | Annotated[Ed25519Recipe, Tag("ed25519")]
    | Annotated[JwtRecipe, Tag("jwt")],
    Discriminator(
        _kind,
        custom_error_type="callback_auth",
        custom_error_message='must be "token", "basic", "hmac" or an object whose type is basic, hmac, ed25519 or jwt',
    ),
]


class CallbackAuth:
    """Verifies the callbacks of one account. `secret`, `username` and `password` belong to the words `hmac` and `basic`."""

    def __init__(
        self,
        config: CallbackAuthConfig,
        *,
        slug: str,
        callback_keys: tuple[str, ...],
        secret: SecretStr | None = None,
        username: str | None = None,
        password: SecretStr | None = None,
    ) -> None:
        self._slug = slug
        self._keys = callback_keys
        self._recipe: BasicRecipe | HmacRecipe | Ed25519Recipe | JwtRecipe | None
        match config:
            case "token":
                self._recipe = None
            case "basic":
                self._recipe = BasicRecipe.model_validate({"type": "basic", "username": username, "password": password})
            case "hmac":
                self._recipe = HmacRecipe.model_validate(
                    {"type": "hmac", "header": "X-Signature", "prefix": "sha256=", "secret": secret}
                )
            case _:
                self._recipe = config

    @property
    def needs_token(self) -> bool:
        """Whether a token of ours in the callback address is what authenticates callbacks."""
        return self._recipe is None

    def verify(self, request: CallbackRequest, *, now: datetime) -> None:
        """Raise `InvalidSignature`, and nothing else, unless the request provably comes from the account's provider."""
        if self._recipe is not None:
            self._recipe.verify(request, now=now)
            return
        token = request.token if request.token.isascii() else ""
        if callback_tokens.read(token, slug=self._slug, keys=self._keys) is None:
            raise InvalidSignature("the callback's token is missing or wrong")
