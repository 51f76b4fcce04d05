"""HTTP to addresses that outsiders give us: media of incoming messages, and the webhook endpoints of clients.

Each connection goes to an address that was checked: a name is resolved once for each connection, all its addresses must be
allowed, and the socket connects to one of them; the `Host` header and the TLS server name are the name. Proxies and `.netrc` of
the environment are ignored, cookies are dropped, and each call has one deadline from resolving the name to the last byte.
"""

import contextlib
import functools
import http
import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

from requests.certs import where as certificates  # type: ignore[attr-defined]  # it is certifi's, in this public module
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import Url
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

from providers.http.connections import (
    BoundedConnection,
    BoundedTLSConnection,
    NotConnectedError,
    response_fault,
    seconds_of,
)
from providers.http.public_addresses import DEFAULT_PORTS, AddressRefused, Guard, literal_address, resolved_address
from providers.http.transport import MAX_RESPONSE_BYTES, USER_AGENT, HttpResponse

MAX_REDIRECTS: Final = 3
MAX_ADDRESSES: Final = 4  # of one name; if these all fail, the host counts as unreachable
CHUNK_BYTES: Final = 64 * 1024
POOLS: Final = 64
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

FAULTS: Final = (HTTPError, http.client.HTTPException, OSError, ValueError)

# Resolves a host and a port to addresses as texts; raises `OSError`. Tests replace it.
Resolver = Callable[[str, int], Sequence[str]]


class TooLarge(Exception):
    """The content exceeds the limit."""


class FetchFailed(Exception):
    """No response, or a failed one (`status`). `retryable` says whether a later attempt may succeed."""

    def __init__(self, reason: str, *, retryable: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.status = status


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers with our credentials, sent to one origin (`https://api.example.com`) only."""

    origin: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def basic(cls, origin: str, username: str, password: str) -> "Credentials":
        token = b64encode(f"{username}:{password}".encode()).decode()
        return cls(origin, {"Authorization": f"Basic {token}"})


def system_resolver(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_rest, address in found))


@dataclass(frozen=True, slots=True)
class _Dialer:
    """Opens sockets to checked addresses only."""

    guard: Guard
    resolve: Resolver

    def dial(self, connection: BoundedConnection) -> socket.socket:
        """Connect within the connection's time-out; raises `AddressRefused` and `OSError`."""
        timeout = seconds_of(connection.timeout)
        deadline = time.monotonic() + timeout
        addresses = self._checked(connection.host, connection.port, seconds=timeout)
        fault: OSError = OSError("the name has no address")
        for tried, address in enumerate(addresses):
            seconds = (deadline - time.monotonic()) / (len(addresses) - tried)
            if seconds <= 0:
                raise TimeoutError
            try:
                return create_connection((address, connection.port), seconds, socket_options=connection.socket_options)
            except OSError as error:
                fault = error
        raise fault

    def _checked(self, host: str, port: int, *, seconds: float) -> Sequence[str]:
        """The addresses of a host. All must be allowed: a name with a public and a private address may be an attack."""
        literal = literal_address(host)
        addresses = [literal] if literal else [resolved_address(text) for text in self._resolved(host, port, seconds)]
        for address in addresses:
            self.guard.check_address(address)
        return [str(address) for address in addresses[:MAX_ADDRESSES]]

    def _resolved(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Resolve in a thread of its own, which is abandoned after the time-out: a lookup cannot be interrupted."""
        addresses: Future[Sequence[str]] = Future()

        def resolve() -> None:
            try:
                addresses.set_result(self.resolve(host, port))
            except (OSError, UnicodeError) as error:
                addresses.set_exception(error)

        threading.Thread(target=resolve, name="resolver", daemon=True).start()
        return addresses.result(timeout=seconds)


class _GuardedConnection(BoundedConnection):
    def __init__(self, *args: Any, dialer: _Dialer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialer = dialer

    def _new_conn(self) -> socket.socket:
        try:
            return self._dialer.dial(self)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(self.host, self, error) from None  # type: ignore[arg-type]
        except TimeoutError:
            raise
        except OSError:
            raise NewConnectionError(self, "the connection was refused") from None


class _GuardedTLSConnection(_GuardedConnection, BoundedTLSConnection):
    """A `_GuardedConnection` over TLS; the certificate must be valid for the name."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


class PublicHttp:
    """A thread-safe client for many hosts, with a pool of connections for each host."""

    def __init__(
        self,
        guard: Guard,
        *,
        resolve: Resolver = system_resolver,
        connect_seconds: float = 3.0,
        pool_size: int = 4,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._connect_seconds = connect_seconds
        self._manager = PoolManager(POOLS, maxsize=pool_size, ssl_context=tls or _tls(), retries=False)
        dialer = _Dialer(guard, resolve)
        self._manager.pool_classes_by_scheme = {
            "http": functools.partial(_PlainPool, dialer=dialer),  # type: ignore[dict-item]
            "https": functools.partial(_TLSPool, dialer=dialer),  # type: ignore[dict-item]
        }

    def check_url(self, url: str) -> None:
        """Raise `AddressRefused` for an address that would never be called. Resolves no name."""
        self._guard.check_url(url)

    def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        deadline_seconds: float,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        redirect_hosts: frozenset[str] = frozenset(),
    ) -> Iterator[bytes]:
        """The content in chunks; the request is made when the first chunk is read.

        Follows at most 3 redirects, to the same host or to one of `redirect_hosts`, never from https to http. Each hop is
        checked, and only the origin of the credentials gets them. Raises `AddressRefused`, `TooLarge` and `FetchFailed`; the
        chunks before an error must be discarded.
        """
        deadline = time.monotonic() + deadline_seconds
        parts = self._guard.check_url(url)
        hosts = redirect_hosts | {parts.host}
        for _hop in range(MAX_REDIRECTS + 1):
            own = credentials.headers if credentials and _origin(parts) == credentials.origin else {}
            with self._response("GET", parts, headers={**(headers or {}), **own}, deadline=deadline) as response:
                if response.status not in REDIRECTS:
                    yield from _content(response, max_bytes)
                    return
                location = response.headers.get("location") or ""
            parts = self._next_hop(parts, location, hosts)
        raise FetchFailed("there are too many redirects", retryable=False)

    def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float,
        max_bytes: int = 0,
    ) -> HttpResponse:
        """Make one request without following redirects. Returns at most `max_bytes` of the response's body; it may be broken or
        endless, and what follows is dropped.

        Raises `AddressRefused` before connecting, and `FetchFailed`, after which the endpoint may have received the request.
        """
        parts = self._guard.check_url(url)
        deadline = time.monotonic() + timeout_seconds
        with self._response(method, parts, headers=headers, deadline=deadline, body=body or None) as response:
            kept = b""
            with contextlib.suppress(*FAULTS):  # a connection can be reused when its response was read to the end
                kept = response.read(max_bytes, decode_content=False) if max_bytes else b""
                response.read(MAX_RESPONSE_BYTES, decode_content=False)
            names = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(status=response.status, headers=names, body=kept)

    def close(self) -> None:
        self._manager.clear()

    @contextlib.contextmanager
    def _response(
        self, method: str, parts: Url, *, headers: Mapping[str, str], deadline: float, body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """Make one request; in the block the body of its response can be read."""
        seconds_left = max(deadline - time.monotonic(), 0.001)
        try:
            response = self._manager.urlopen(
                method,
                parts._replace(fragment=None).url,
                body=body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                timeout=Timeout(total=seconds_left, connect=min(seconds_left, self._connect_seconds)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            with contextlib.closing(response):
                yield response
        except NotConnectedError as error:
            if isinstance(error.__cause__, AddressRefused):
                raise error.__cause__ from None
            raise FetchFailed(str(error), retryable=True) from None
        except FAULTS as error:
            raise FetchFailed(response_fault(error), retryable=True) from None

    def _next_hop(self, parts: Url, location: str, hosts: frozenset[str | None]) -> Url:
        if not location:
            raise FetchFailed("the redirect has no location", retryable=False)
        try:
            target = self._guard.check_url(urljoin(parts.url, location))
        except ValueError:
            raise FetchFailed("the redirect leads to an invalid address", retryable=False) from None
        is_usual_port = target.port in {None, parts.port, DEFAULT_PORTS[target.scheme or ""]}
        if target.host not in hosts or not is_usual_port or (parts.scheme, target.scheme) == ("https", "http"):
            raise AddressRefused("the redirect leads to another host, port or scheme")
        return target


def _content(response: BaseHTTPResponse, max_bytes: int) -> Iterator[bytes]:
    if response.status != http.HTTPStatus.OK:
        is_retryable = response.status in RETRYABLE_STATUSES
        raise FetchFailed(f"the response status is {response.status}", retryable=is_retryable, status=response.status)
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchFailed("the content is compressed, which was not requested", retryable=False)
    if (response.length_remaining or 0) > max_bytes:
        raise TooLarge(f"there are more than {max_bytes} bytes")
    size = 0
    while chunk := response.read(CHUNK_BYTES, decode_content=False):
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"there are more than {max_bytes} bytes")
        yield chunk


def _origin(parts: Url) -> str:
    """The origin in its usual form, without the default port of its scheme."""
    port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme or ""]} else f":{parts.port}"
    return f"{parts.scheme}://{parts.host}{port}"


def _tls() -> ssl.SSLContext:
    """The TLS settings of a client, made once: reading the root certificates takes longer than a handshake."""
    context = create_urllib3_context()
    context.load_verify_locations(certificates())
    return context
