"""How an account authenticates itself to its provider: HTTP Basic, a bearer token, or OAuth 2.0 client credentials."""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from providers.contract.config_types import EnvOrText, HttpUrl, Secret, Text
from providers.errors import Misconfigured
from providers.http.oauth import ClientCredentials, TokenSource
from providers.http.transport import HttpResponse, Transport

UNAUTHORIZED: Final = 401
BEARER: Final = "Bearer "
BASIC_METHOD: Final = "client_secret_basic"

# A colon would end the name for the provider.
Username = Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]+$", max_length=500), EnvOrText]


def _empty_or_secret(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Some providers take a token as the name, with an empty password."""
    return SecretStr("") if value == "" else handler(value)


Password = Annotated[Secret, WrapValidator(_empty_or_secret)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BasicAuth(_Part):
    type: Literal["basic"]
    username: Annotated[Username, Field(repr=False)]
    password: Password


class BearerAuth(_Part):
    type: Literal["bearer"]
    token: Secret


class OAuth2Auth(_Part):
    """Client credentials (RFC 6749, section 4.4). `token_endpoint_auth_method` has its name and values from RFC 7591."""

    type: Literal["oauth2"]
    token_url: HttpUrl
    client_id: Text
    client_secret: Secret
    scope: Text | None = None
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] = BASIC_METHOD


Auth = Annotated[BasicAuth | BearerAuth | OAuth2Auth, Field(discriminator="type")]


class Authenticator:
    """Makes the `Authorization` of an account's calls; thread-safe. Without `auth` there is none."""

    def __init__(self, auth: Auth | None, transport: Transport, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._tokens: TokenSource | None = None
        if isinstance(auth, OAuth2Auth):
            credentials = ClientCredentials(
                token_url=auth.token_url,
                client_id=auth.client_id,
                client_secret=auth.client_secret.get_secret_value(),
                scope=auth.scope,
                in_header=auth.token_endpoint_auth_method == BASIC_METHOD,
            )
            self._tokens = TokenSource(credentials, transport, clock=clock)

    def headers(self) -> Mapping[str, str]:
        """The headers of one call. May fetch a token, and then raises only `Unavailable` and its subclasses."""
        match self._auth:
            case BasicAuth(username=username, password=password):
                pair = f"{username}:{password.get_secret_value()}".encode()  # in UTF-8, as RFC 7617 recommends
                return {"Authorization": f"Basic {b64encode(pair).decode()}"}
            case BearerAuth(token=token):
                return _bearer(token.get_secret_value())
            case _:
                return _bearer(self._tokens.token()) if self._tokens is not None else {}

    def call(self, send: Callable[[Mapping[str, str]], HttpResponse]) -> HttpResponse:
        """Call `send` with the headers, and once more with those of a new token after a 401, which has accepted nothing.

        The second call passes the send gate as the first one did, so that it may end in what the gate raises.
        """
        headers = self.headers()
        response = send(headers)
        if response.status != UNAUTHORIZED or self._tokens is None:
            return response
        refused = headers["Authorization"].removeprefix(BEARER)
        renewed = self._tokens.token(instead_of=refused)
        return response if renewed == refused else send(_bearer(renewed))


def _bearer(token: str) -> Mapping[str, str]:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Misconfigured("the token contains a character that no header can carry")
    return {"Authorization": f"{BEARER}{token}"}
