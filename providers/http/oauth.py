"""OAuth 2.0 access tokens by client credentials: fetched when one is needed, kept in memory until they end."""

import http
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from providers import send_gate
from providers.errors import (
    CredentialsRefused,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    SendError,
    Unavailable,
)
from providers.http.transport import HttpResponse, Transport

# A token is not used in the last seconds of its time: the call could arrive after its end.
MARGIN_SECONDS: Final = 60.0
MARGIN_SHARE: Final = 0.1  # of a short time
MAX_LIFETIME: Final = 86_400 * 30
MAX_TOKEN_LENGTH: Final = 8192
REFUSING_STATUSES: Final = frozenset({401, 403})
# Codes of a 400; the others are faults of the configuration, such as `invalid_scope`.
REFUSING_ERRORS: Final = frozenset({"invalid_client", "invalid_grant", "unauthorized_client", "access_denied"})


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    in_header: bool = True


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    ends: float | None


class TokenSource:
    """The token of one account. Threads that need one while it is fetched wait for that fetch, and share its failure."""

    def __init__(
        self, credentials: ClientCredentials, transport: Transport, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._fetch: Future[str] | None = None

    def token(self, *, instead_of: str | None = None) -> str:
        """A token, and a new one where the present one is `instead_of`, which the provider has refused.

        Raises only `Unavailable` and its subclasses: without a token, no call has been made.
        """
        with self._lock:
            present = self._token
            if present is not None and present.text != instead_of and not self._has_ended(present):
                return present.text
            running, own = self._fetch, Future[str]()
            if running is None:
                self._fetch = own
        return self._fetched(own) if running is None else running.result()

    def _fetched(self, result: Future[str]) -> str:
        try:
            token = self._new_token()
        except BaseException as error:
            with self._lock:
                self._fetch = None
            result.set_exception(error if isinstance(error, SendError) else Unavailable("the token was not fetched"))
            raise
        with self._lock:
            self._token, self._fetch = token, None
        result.set_result(token.text)
        return token.text

    def _has_ended(self, token: _Token) -> bool:
        return token.ends is not None and self._clock() >= token.ends

    def _new_token(self) -> _Token:
        began = self._clock()
        response = self._response()
        if not 200 <= response.status <= 299:  # noqa: PLR2004 (the class of statuses that grant a request)
            raise _fault(response)
        content = _content(response)
        token, kind = content.get("access_token"), content.get("token_type", "bearer")
        if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_LENGTH:
            raise Misconfigured("the token endpoint gave no access_token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise Misconfigured("the token endpoint gives tokens that are not of the type bearer")
        return _Token(token, _end(began, content.get("expires_in")))

    def _response(self) -> HttpResponse:
        own = self._credentials
        form = {"grant_type": "client_credentials"} | ({"scope": own.scope} if own.scope else {})
        if not own.in_header:
            form |= {"client_id": own.client_id, "client_secret": own.client_secret}
        pair = (own.client_id, own.client_secret) if own.in_header else None
        try:
            # The gate is for the message's call: here it would count a call that is not made.
            with send_gate.through(_open_gate):
                return self._transport.call("POST", own.token_url, form=form, credentials=pair)
        except OutcomeUnknown as error:
            raise Unavailable(f"the token endpoint: {error.detail}") from None
        except Rejected:
            raise Misconfigured("the credentials for the token endpoint cannot be encoded") from None
        except Unavailable as error:
            raise type(error)(f"the token endpoint: {error.detail}", code=error.error_code) from None


def _open_gate() -> float:
    return 0.0


def _end(began: float, lifetime: Any) -> float | None:
    """The end of a token on our clock; None where the answer names none: then it is used until it is refused."""
    try:
        seconds = min(float(lifetime), MAX_LIFETIME)
    except (TypeError, ValueError, OverflowError):
        return None
    return began + seconds - min(MARGIN_SECONDS, seconds * MARGIN_SHARE)


def _content(response: HttpResponse) -> dict[str, Any]:
    try:
        content = json.loads(response.body)
    except (ValueError, RecursionError):
        raise Unavailable("the token endpoint gave a response that is not JSON") from None
    if not isinstance(content, dict):
        raise Misconfigured("the token endpoint gave a response that is not an object")
    return content


def _fault(response: HttpResponse) -> Unavailable:
    status = response.status
    detail = f"the token endpoint answered {status}"
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(detail, retry_after=response.retry_after(datetime.now(UTC)))
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status == http.HTTPStatus.REQUEST_TIMEOUT:
        return Unavailable(detail, retry_after=response.retry_after(datetime.now(UTC)))
    if status in REFUSING_STATUSES or (status == http.HTTPStatus.BAD_REQUEST and _error(response) in REFUSING_ERRORS):
        return CredentialsRefused(detail)
    return Misconfigured(detail)


def _error(response: HttpResponse) -> Any:
    """The error code of RFC 6749, section 5.2; None in a response that cannot be read."""
    try:
        error = _content(response).get("error")
    except SendError:
        return None
    return error if isinstance(error, str) else None
