"""The pooled HTTP client of one account. The error of a failed call says whether the message can have been accepted.

A failure while connecting (name, refusal, time-out, TLS) happens before the first byte of the request: provably not accepted.
The outcome of a later failure is unknown. Nothing is retried, no redirect is followed, proxies and `.netrc` of the environment
are ignored (the account may name a proxy of its own), and cookies are dropped.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ClosedPoolError, HTTPError

from providers import exchanges
from providers.contract.sender import Timeouts
from providers.errors import CredentialsRefused, Misconfigured, OutcomeUnknown, Rejected, Unavailable
from providers.http.connection_options import DIRECT, ConnectionOptions, check_files
from providers.http.connections import BoundedConnection, BoundedTLSConnection, NotConnectedError, response_fault

MAX_RESPONSE_BYTES = 64 * 1024
MAX_RETRY_AFTER = 86_400.0
USER_AGENT = "Switchboard/1"
# Of one account: for messages, for asking about them, and for OAuth.
MAX_HOSTS = 4
PROXY_CREDENTIALS_REFUSED = 407
# OpenSSL's names of the alerts with which a server refuses a client certificate.
CERTIFICATE_ALERTS = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete response. Header names are in lower case; `body` is decoded (for example from gzip)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def retry_after(self, now: datetime) -> float | None:
        """The seconds of `Retry-After`, which may be a number or an HTTP date; None without a valid one. At most a day."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:10]), MAX_RETRY_AFTER)
        try:
            seconds = (parsedate_to_datetime(value) - now).total_seconds()
        except (
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ):  # the parser raises all of these for invalid dates
            return None
        return min(max(seconds, 0.0), MAX_RETRY_AFTER)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = BoundedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = BoundedTLSConnection


POOL_CLASSES: Final[Mapping[str, type[HTTPConnectionPool]]] = {"http": _PlainPool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = dict(POOL_CLASSES)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = dict(POOL_CLASSES)
        return manager

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().cert_verify(*args, **kwargs)
        except OSError:
            raise Misconfigured("the file of ca_file or client_certificate has gone") from None


class Transport:
    """The client; thread-safe."""

    def __init__(self, timeouts: Timeouts, *, pool_size: int, options: ConnectionOptions = DIRECT) -> None:
        self._timeout = (timeouts.connect, timeouts.read)
        self._options = options
        self._route = _route(options)
        self._are_files_checked = options.ca_file is None and options.client_certificate is None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"}
        )
        for scheme in ("http://", "https://"):
            adapter = _Adapter(pool_connections=MAX_HOSTS, pool_maxsize=pool_size, max_retries=0)
            if options.proxy is not None:  # here, where no other thread can make a manager without our connections
                adapter.proxy_manager_for(options.proxy.get_secret_value())
            self._session.mount(scheme, adapter)

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> HttpResponse:
        """Make one request and return the complete response, whatever its status. `body` is sent as it is, without a type.

        Raises `Unavailable` (not accepted), `OutcomeUnknown`, `Misconfigured` and `Rejected` for a request that cannot be
        made, and what `providers.send_gate` raises.
        """
        if credentials is not None and not _fits_header("".join(credentials)):
            raise Misconfigured("the credentials contain a character that no header can carry")
        request = requests.Request(
            method, url, headers=dict(headers or {}), params=query, json=json, data=form or body, auth=credentials
        )
        prepared = self._prepare(request)
        self._check_files()
        exchanges.note_request(method, prepared.url or url, prepared.headers, prepared.body)
        try:
            with self._response(prepared) as response:
                self._check_proxy(prepared, response)
                received = HttpResponse(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=_read(response),
                )
                exchanges.note_response(received.status, received.headers, received.body)
                return received
        except NotConnectedError as error:
            raise Unavailable(str(error), code="provider_unreachable") from None
        except (InvalidURL, InvalidSchema, InvalidHeader):
            raise Misconfigured("the request cannot be made with this configuration") from None
        except (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            if _was_never_sent(error):
                raise Unavailable("the account's connections were just closed", code="provider_unreachable") from None
            raise OutcomeUnknown(response_fault(error)) from None

    def close(self) -> None:
        self._session.close()

    def _response(self, request: requests.PreparedRequest) -> requests.Response:
        """Make the request; the body of the response is not read yet."""
        # Not through the session: it would read the whole body of a redirect, of any size, before it returns.
        adapter = self._session.get_adapter(request.url or "")
        try:
            return adapter.send(request, stream=True, timeout=self._timeout, **self._route)
        except requests.RequestException as error:
            if _is_certificate_refused(error):
                raise CredentialsRefused("the provider refuses the client certificate") from None
            raise

    def _check_files(self) -> None:
        """Check the files at the first call only. Each new connection reads them, so that they can be replaced."""
        if not self._are_files_checked:
            check_files(self._options)
            self._are_files_checked = True

    def _check_proxy(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Without TLS, a proxy answers in the provider's place; this status is its own."""
        is_forwarded = self._options.proxy is not None and (request.url or "").startswith("http://")
        if is_forwarded and response.status_code == PROXY_CREDENTIALS_REFUSED:
            raise Unavailable("the proxy refuses its credentials", code="provider_unreachable")

    def _prepare(self, request: requests.Request) -> requests.PreparedRequest:
        try:
            return self._session.prepare_request(request)
        except UnicodeError:
            raise Rejected("the text cannot be encoded", code="text_not_encodable") from None
        except (requests.RequestException, HTTPError, ValueError):
            raise Misconfigured("the request cannot be made with this configuration") from None


def _route(options: ConnectionOptions) -> Mapping[str, Any]:
    """The arguments of `HTTPAdapter.send`."""
    certificate, proxy = options.client_certificate, options.proxy.get_secret_value() if options.proxy else None
    return {
        "verify": options.ca_file or True,
        "cert": certificate and (certificate.cert_file, certificate.key_file),
        "proxies": {"http": proxy, "https": proxy} if proxy else None,
    }


def _fits_header(text: str) -> bool:
    try:
        text.encode("latin-1")  # as `requests` encodes them
    except UnicodeEncodeError:
        return False
    return True


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.raw.stream(8192, decode_content=True):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise OutcomeUnknown("the response is too large")
    return bytes(body)


def _was_never_sent(error: Exception) -> bool:
    """Whether another thread closed the pool before this one took a connection out of it."""
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, ClosedPoolError) for cause in error.args
    )


def _is_certificate_refused(error: Exception) -> bool:
    """Whether the provider ended the handshake because of our certificate, so that it has read no request.

    With TLS 1.3 a client learns that only when it reads the response.
    """
    cause: Any = error
    while isinstance(cause, Exception):
        if isinstance(cause, ssl.SSLError) and cause.reason in CERTIFICATE_ALERTS:
            return True
        cause = getattr(cause, "reason", None) or next(iter(cause.args), None)
    return False
