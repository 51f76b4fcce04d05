"""Calls with credentials, and a token endpoint, for the tests of authentication."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from providers.http.authentication import Auth, Authenticator
from providers.http.transport import HttpResponse, Transport
from tests.contract.fake_carrier import FakeCarrier, Play, answer

AUTH: TypeAdapter[Auth] = TypeAdapter(Auth)
SECRET = "made-up-secret"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def numbered_tokens(endpoint: FakeCarrier, connection: Any) -> None:
    """Gives `t1`, `t2`, ..., each for an hour."""
    content = {"access_token": f"t{len(endpoint.received)}", "token_type": "Bearer", "expires_in": 3600}
    answer(200, content)(endpoint, connection)


def authenticator(config: Mapping[str, Any] | None, http: Transport, **options: Any) -> Authenticator:
    return Authenticator(AUTH.validate_python(config) if config else None, http, **options)


def oauth(endpoint: FakeCarrier, http: Transport, *, clock: Clock | None = None, **config: Any) -> Authenticator:
    complete = {"type": "oauth2", "token_url": f"{endpoint.url}/token", "client_id": "id", "client_secret": SECRET}
    return authenticator({**complete, **config}, http, **({"clock": clock} if clock else {}))


def through(carrier: FakeCarrier, http: Transport) -> Callable[[Mapping[str, str]], HttpResponse]:
    return lambda headers: http.call("POST", f"{carrier.url}/send", headers=headers, json={})


def accepts(*tokens: str) -> Play:
    """A carrier that answers 401 to all other tokens."""

    def play(carrier: FakeCarrier, connection: Any) -> None:
        is_known = carrier.received[-1].headers.get("authorization") in {f"Bearer {token}" for token in tokens}
        answer(202 if is_known else 401, b"{}")(carrier, connection)

    return play


def tokens_of(carrier: FakeCarrier) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in carrier.received]
