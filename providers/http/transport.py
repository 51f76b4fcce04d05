"""The pooled HTTP client of one account. The error of a failed call says whether the message can have been accepted.

A failure while connecting (name, refusal, time-out, TLS) happens before the first byte of the request: provably not accepted.
The outcome of a later failure is unknown. Nothing is retried, no redirect is followed, proxies and `.netrc` of the environment
are ignored (the account may name a proxy of its own), and cookies are dropped.
"""

import contextlib
import functools
import http.client
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote

from requests import PreparedRequest, RequestException
from requests.certs import where as certificates  # type: ignore[attr-defined]  # it is certifi's, in this public module
from requests.structures import CaseInsensitiveDict
from requests.utils import check_header_validity
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.exceptions import ClosedPoolError, HTTPError, LocationValueError
from urllib3.util import Timeout, make_headers, parse_url

from providers import exchanges
from providers.contract.sender import Timeouts
from providers.errors import CredentialsRefused, Misconfigured, OutcomeUnknown, Rejected, Unavailable
from providers.http.connection_options import DIRECT, ConnectionOptions, check_files
from providers.http.connections import (
    BoundedConnection,
    BoundedTLSConnection,
    NoResponseError,
    NotConnectedError,
    response_fault,
)

MAX_RESPONSE_BYTES = 64 * 1024
MAX_RETRY_AFTER = 86_400.0
USER_AGENT = "Switchboard/1"
DEFAULT_HEADERS: Final = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"}
CANNOT_BE_MADE: Final = "the request cannot be made with this configuration"
MAX_ADDRESSES = 16
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


@dataclass(frozen=True, slots=True)
class _Address:
    """A prepared URL. `target` is what the request line has: the whole URL for a proxy without TLS, else path and query."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int | None
    target: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    address: _Address
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | str | None = field(repr=False)


class Transport:
    """The client; thread-safe."""

    def __init__(self, timeouts: Timeouts, *, pool_size: int, options: ConnectionOptions = DIRECT) -> None:
        self._timeout = Timeout(connect=timeouts.connect, read=timeouts.read)
        self._options = options
        self._files = _files(options)
        self._are_files_checked = not self._files
        self._manager = _manager(options, pool_size=pool_size)
        # Most accounts have one address for all messages.
        self._address = functools.lru_cache(maxsize=MAX_ADDRESSES)(self._prepared_address)

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
        is_answered_first: bool = False,
        is_recorded: bool = True,
    ) -> HttpResponse:
        """Make one request and return the complete response, whatever its status. `body` is sent as it is, without a type.

        With `is_answered_first` the peer begins its response before it does anything with the message: then a connection that
        ends before that is `Unavailable`. With `is_recorded` false the caller notes the exchange (`providers.exchanges`).
        Raises `Unavailable` (not accepted), `OutcomeUnknown`, `Misconfigured` and `Rejected` for a request that cannot be
        made, and what `providers.send_gate` raises.
        """
        if credentials is not None and not _fits_header("".join(credentials)):
            raise Misconfigured("the credentials contain a character that no header can carry")
        request = self._prepare(method, url, headers, query, json=json, data=form or body, credentials=credentials)
        self._check_files(request)
        if is_recorded:
            exchanges.note_request(method, request.address.url, request.headers, request.body)
        try:
            with contextlib.closing(self._response(request)) as response:
                self._check_proxy(request, response)
                received = HttpResponse(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.itermerged()},
                    body=_read(response),
                )
        except NotConnectedError as error:
            raise Unavailable(str(error), code="provider_unreachable") from None
        except ClosedPoolError:  # by another thread, before this one took a connection out of it
            raise Unavailable("the account's connections were just closed", code="provider_unreachable") from None
        except LocationValueError:
            raise Misconfigured(CANNOT_BE_MADE) from None
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            if is_answered_first and any(isinstance(cause, NoResponseError) for cause in error.args):
                raise Unavailable("the connection ended before a response", code="provider_unreachable") from None
            raise OutcomeUnknown(response_fault(error)) from None
        if is_recorded:
            exchanges.note_response(received.status, received.headers, received.body)
        return received

    def close(self) -> None:
        self._manager.clear()

    def _response(self, request: _Request) -> BaseHTTPResponse:
        """Make the request; the body of the response is not read yet."""
        address = request.address
        pool = self._manager.connection_from_host(address.host, address.port, address.scheme)
        try:
            return pool.urlopen(
                request.method,
                address.target,
                body=request.body,
                headers=request.headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            if _is_certificate_refused(error):
                raise CredentialsRefused("the provider refuses the client certificate") from None
            raise

    def _check_files(self, request: _Request) -> None:
        """Check the files at the first call only. Each new connection reads them, so that they can be replaced."""
        if not self._are_files_checked:
            check_files(self._options)
            self._are_files_checked = True
        if request.address.scheme == "https" and not all(map(os.path.exists, self._files)):
            raise Misconfigured("the file of ca_file or client_certificate has gone")

    def _check_proxy(self, request: _Request, response: BaseHTTPResponse) -> None:
        """Without TLS, a proxy answers in the provider's place; this status is its own."""
        is_forwarded = self._options.proxy is not None and request.address.scheme == "http"
        if is_forwarded and response.status == PROXY_CREDENTIALS_REFUSED:
            raise Unavailable("the proxy refuses its credentials", code="provider_unreachable")

    def _prepare(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        query: Mapping[str, Any] | None,
        *,
        json: Any,
        data: Any,
        credentials: tuple[str, str] | None,
    ) -> _Request:
        """The request as `requests` prepares it: its rules for parameters, bodies and headers are widely known."""
        prepared = PreparedRequest()
        prepared.headers = CaseInsensitiveDict(DEFAULT_HEADERS)
        try:
            prepared.headers.update(headers or {})
            for header in prepared.headers.items():
                check_header_validity(header)
            address = self._prepared_address(url, query) if query else self._address(url)
            prepared.method = method
            prepared.prepare_body(data, None, json)
            if credentials is not None or "@" in address.url:  # also credentials in the address
                prepared.url = address.url
                prepared.prepare_auth(credentials)
        except UnicodeError:
            raise Rejected("the text cannot be encoded", code="text_not_encodable") from None
        except (RequestException, HTTPError, ValueError):
            raise Misconfigured(CANNOT_BE_MADE) from None
        return _Request(method, address, dict(prepared.headers), prepared.body)

    def _prepared_address(self, url: str, query: Mapping[str, Any] | None = None) -> _Address:
        prepared = PreparedRequest()
        prepared.prepare_url(url, query)
        parts = parse_url(prepared.url or url)
        is_forwarded = self._options.proxy is not None and parts.scheme == "http"
        return _Address(
            url=prepared.url or url,
            scheme=parts.scheme or "",
            host=parts.host or "",
            port=parts.port,
            target=parts._replace(auth=None, fragment=None).url if is_forwarded else prepared.path_url,
        )


def _manager(options: ConnectionOptions, *, pool_size: int) -> PoolManager:
    certificate = options.client_certificate
    pool_options: dict[str, Any] = {
        "num_pools": MAX_HOSTS,
        "maxsize": pool_size,
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": options.ca_file or certificates(),
        "cert_file": certificate and certificate.cert_file,
        "key_file": certificate and certificate.key_file,
    }
    manager = PoolManager(**pool_options)
    if options.proxy is not None:
        proxy = parse_url(options.proxy.get_secret_value())
        credentials = make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else {}
        manager = ProxyManager(proxy._replace(auth=None).url, proxy_headers=credentials, **pool_options)
    manager.pool_classes_by_scheme = dict(POOL_CLASSES)
    return manager


def _files(options: ConnectionOptions) -> tuple[str, ...]:
    certificate = options.client_certificate
    pair = (certificate.cert_file, certificate.key_file) if certificate is not None else ()
    return tuple(name for name in (options.ca_file, *pair) if name is not None)


def _fits_header(text: str) -> bool:
    try:
        text.encode("latin-1")  # as `requests` encodes them
    except UnicodeEncodeError:
        return False
    return True


def _read(response: BaseHTTPResponse) -> bytes:
    body = bytearray()
    for chunk in response.stream(8192, decode_content=True):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise OutcomeUnknown("the response is too large")
    return bytes(body)


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
