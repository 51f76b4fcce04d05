"""HTTP to addresses that outsiders have named: media that a callback points to, and the endpoints of clients.

The address that is connected to is the one that was checked: a name is resolved once for each connection, every answer must
be allowed, and the socket goes to one of these answers; `Host` and the TLS name stay the name. No proxy and no `.netrc` of the
environment is used, no cookie is kept, and each call has one deadline from the look-up of the name to the last byte.
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

from requests.certs import where as certificates
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util import Url
from urllib3.util.connection import create_connection
from urllib3.util.ssl_ import create_urllib3_context

from providers.http.connections import BoundedConnection, BoundedTLSConnection, NotConnectedError, answer_fault
from providers.http.public_addresses import DEFAULT_PORTS, AddressRefused, Guard, literal_address, resolved_address
from providers.http.transport import MAX_ANSWER_BYTES, USER_AGENT, HttpResponse

MAX_REDIRECTS: Final = 3
MAX_ADDRESSES: Final = 4  # of one name; who has more than these down is down
CHUNK_BYTES: Final = 64 * 1024
POOLS: Final = 64
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

FAULTS: Final = (HTTPError, http.client.HTTPException, OSError, ValueError)

# A host and a port, as texts of addresses; raises `OSError`. Tests bring their own.
Resolver = Callable[[str, int], Sequence[str]]


class TooLarge(Exception):
    """There are more bytes than may be fetched."""


class FetchFailed(Exception):
    """No (good) answer. `retryable` says whether it may be another one later; `status` is None without an answer."""

    def __init__(self, reason: str, *, retryable: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.retryable = retryable
        self.status = status


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers that prove who we are, for one origin (`https://api.example.com`) and never for another."""

    origin: str
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def basic(cls, origin: str, username: str, password: str) -> "Credentials":
        token = b64encode(f"{username}:{password}".encode()).decode()
        return cls(origin, {"Authorization": f"Basic {token}"})


def system_resolver(host: str, port: int) -> Sequence[str]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_rest, address in answers))


@dataclass(frozen=True, slots=True)
class _Dialer:
    """Opens sockets to checked addresses, and to nothing else."""

    guard: Guard
    resolve: Resolver

    def dial(self, connection: BoundedConnection) -> socket.socket:
        """Connect within the connection's time-out; raises `AddressRefused` and `OSError`."""
        deadline = time.monotonic() + float(connection.timeout)
        addresses = self._checked(connection.host, connection.port, seconds=float(connection.timeout))
        fault: OSError = OSError("the name has no address")
        for place, address in enumerate(addresses):
            share = (deadline - time.monotonic()) / (len(addresses) - place)
            if share <= 0:
                raise TimeoutError
            try:
                return create_connection((address, connection.port), share, socket_options=connection.socket_options)
            except OSError as error:
                fault = error
        raise fault

    def _checked(self, host: str, port: int, *, seconds: float) -> Sequence[str]:
        """Every answer has to pass: a name with one public and one private address is up to no good."""
        literal = literal_address(host)
        addresses = [literal] if literal else [resolved_address(text) for text in self._resolved(host, port, seconds)]
        for address in addresses:
            self.guard.check_address(address)
        return [str(address) for address in addresses[:MAX_ADDRESSES]]

    def _resolved(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """A look-up cannot be broken off: a thread of its own is left to it, so that a slow name holds nobody up."""
        answer: Future[Sequence[str]] = Future()

        def fetch_status() -> None:
            try:
                answer.set_result(self.resolve(host, port))
            except (OSError, UnicodeError) as error:
                answer.set_exception(error)

        threading.Thread(target=fetch_status, name="resolver", daemon=True).start()
        return answer.result(timeout=seconds)


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
    """The same over TLS, which asks for the name's certificate, not for the address's."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


class PublicHttp:
    """One client for many hosts, for many threads. Connections are kept for the next call to the same host."""

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
        """Raise `AddressRefused` for what is never called, without looking a name up; for the moment it is given."""
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
        """The content in chunks, as it comes; nothing is asked for before the first chunk is.

        Follows at most 3 redirects, to the same host or to one of `redirect_hosts`, never from https to http; each hop
        is checked anew, and only the credentials' own origin gets them. Raises `AddressRefused`, `TooLarge` and `FetchFailed`.
        What was yielded before an error is worth nothing.
        """
        deadline = time.monotonic() + deadline_seconds
        parts = self._guard.check_url(url)
        hosts = redirect_hosts | {parts.host}
        for _hop in range(MAX_REDIRECTS + 1):
            proof = credentials.headers if credentials and _origin(parts) == credentials.origin else {}
            with self._answered("GET", parts, headers={**(headers or {}), **proof}, deadline=deadline) as answer:
                if answer.status not in REDIRECTS:
                    yield from _content(answer, max_bytes)
                    return
                location = answer.headers.get("location") or ""
            parts = self._next_hop(parts, location, hosts)
        raise FetchFailed("there are too many redirects", retryable=False)

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> HttpResponse:
        """One request, no redirect followed. The status is the answer: the body is dropped, and may be broken or endless.

        Raises `AddressRefused`, then nothing was connected to, and `FetchFailed`, then nobody knows what has arrived.
        """
        parts = self._guard.check_url(url)
        deadline = time.monotonic() + timeout_seconds
        with self._answered("POST", parts, headers=headers, deadline=deadline, body=body) as answer:
            with contextlib.suppress(*FAULTS):  # read to its end, the connection serves again
                answer.read(MAX_ANSWER_BYTES, decode_content=False)
            names = {name.lower(): value for name, value in answer.headers.items()}
            return HttpResponse(status=answer.status, headers=names, body=b"")

    def close(self) -> None:
        self._manager.clear()

    @contextlib.contextmanager
    def _answered(
        self, method: str, parts: Url, *, headers: Mapping[str, str], deadline: float, body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """One request's answer, with its body still to be read, in here."""
        left = max(deadline - time.monotonic(), 0.001)
        try:
            answer = self._manager.urlopen(
                method,
                parts._replace(fragment=None).url,
                body=body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                timeout=Timeout(total=left, connect=min(left, self._connect_seconds)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            with contextlib.closing(answer):
                yield answer
        except NotConnectedError as error:
            if isinstance(error.__cause__, AddressRefused):
                raise error.__cause__ from None
            raise FetchFailed(str(error), retryable=True) from None
        except FAULTS as error:
            raise FetchFailed(answer_fault(error), retryable=True) from None

    def _next_hop(self, parts: Url, location: str, hosts: frozenset[str | None]) -> Url:
        if not location:
            raise FetchFailed("there is a redirect to nowhere", retryable=False)
        try:
            target = self._guard.check_url(urljoin(parts.url, location))
        except ValueError:
            raise FetchFailed("there is a redirect to no address", retryable=False) from None
        is_usual_port = target.port in {None, parts.port, DEFAULT_PORTS[target.scheme or ""]}
        if target.host not in hosts or not is_usual_port or (parts.scheme, target.scheme) == ("https", "http"):
            raise AddressRefused("there is a redirect to another place")
        return target


def _content(answer: BaseHTTPResponse, max_bytes: int) -> Iterator[bytes]:
    if answer.status != http.HTTPStatus.OK:
        again = answer.status in WORTH_ANOTHER_TRY
        raise FetchFailed(f"the answer is {answer.status}", retryable=again, status=answer.status)
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchFailed("the content is compressed, although nobody asked for it", retryable=False)
    if (answer.length_remaining or 0) > max_bytes:
        raise TooLarge(f"there are more than {max_bytes} bytes")
    size = 0
    while chunk := answer.read(CHUNK_BYTES, decode_content=False):
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"there are more than {max_bytes} bytes")
        yield chunk


def _origin(parts: Url) -> str:
    """The origin as it is written usually: without the port that goes without saying."""
    port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme or ""]} else f":{parts.port}"
    return f"{parts.scheme}://{parts.host}{port}"


def _tls() -> ssl.SSLContext:
    """Made once: reading the authorities' certificates costs more than a handshake."""
    context = create_urllib3_context()
    context.load_verify_locations(certificates())
    return context
