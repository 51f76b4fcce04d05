"""One pooled HTTP client for one account, made so that a failed call says whether the text can have been accepted.

Whatever goes wrong while connecting (name, refusal, time-out, TLS) happened before a byte of the request left: provably
not accepted. Whatever goes wrong later is ambiguous. Nothing is retried, no redirect is followed, no proxy or `.netrc`
of the environment is used, and no cookie is kept.
"""

import functools
import http.client
import io
import logging
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from providers.base import Timeouts
from providers.errors import Misconfigured, OutcomeUnknown, Rejected, Unavailable

MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER = 86_400.0
USER_AGENT = "Switchboard/1"

# Below ERROR, urllib3 writes addresses with their query, which for a GET carries the number and the text.
logging.getLogger("urllib3").setLevel(logging.ERROR)

# The first match wins: the later classes are bases of the earlier ones.
CONNECT_FAULTS: Sequence[tuple[tuple[type[Exception], ...], str]] = (
    ((NameResolutionError,), "the host name is not known"),
    ((NewConnectionError,), "the connection was refused"),
    ((ConnectTimeoutError, TimeoutError), "connecting took too long"),
    ((ssl.SSLError, ssl.CertificateError, SSLError), "the TLS handshake failed"),
)


class NotConnectedError(Exception):
    """Raised inside urllib3, of a class that it does not know, so that it reaches us unwrapped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are lower-case; `body` is complete and decoded."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def retry_after(self, now: datetime) -> float | None:
        """The provider's wish in seconds, from seconds or from an HTTP date; None when it names none."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:10]), MAX_RETRY_AFTER)
        try:
            moment = parsedate_to_datetime(value)
            seconds = (moment - now).total_seconds()
        except (ValueError, TypeError):
            return None
        return min(max(seconds, 0.0), MAX_RETRY_AFTER)


class _BoundedReader(io.RawIOBase):
    """A socket's incoming bytes until a deadline, however slowly they trickle in."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock, deadline))


class _TellingConnection(HTTPConnection):
    """Tells failures to connect apart, and gives the whole answer, headers included, one deadline."""

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NotConnectedError(_connect_fault(error)) from error

    def getresponse(self) -> HTTPResponse:
        # urllib3 has put the read time-out here by now; on a socket it would only limit each single wait.
        deadline = time.monotonic() + float(self.timeout)
        self.response_class = functools.partial(_BoundedResponse, deadline=deadline)
        return super().getresponse()


class _TellingTLSConnection(_TellingConnection, HTTPSConnection):
    """The same over TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _TellingConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TellingTLSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TLSPool}


def _connect_fault(error: Exception) -> str:
    for classes, words in CONNECT_FAULTS:
        if isinstance(error, classes):
            return words
    return "the connection could not be made"


class Transport:
    """`call` makes one request and returns the whole answer, or raises `Unavailable` or `OutcomeUnknown`."""

    def __init__(self, timeouts: Timeouts, *, pool_size: int) -> None:
        self._timeout = (timeouts.connect, timeouts.read)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.clear()
        self._session.headers.update(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"}
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_connections=2, pool_maxsize=pool_size, max_retries=0))

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> Answer:
        request = requests.Request(
            method, url, headers=dict(headers or {}), params=query, json=json, data=form, auth=credentials
        )
        prepared = self._prepare(request)
        try:
            # Straight to the adapter: a session would read a redirect's whole body, of any size, before it looks at us.
            adapter = self._session.get_adapter(prepared.url)
            with adapter.send(prepared, stream=True, timeout=self._timeout, verify=True) as response:
                return Answer(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=_read(response),
                )
        except NotConnectedError as error:
            raise Unavailable(str(error), code="provider_unreachable") from None
        except (InvalidURL, InvalidSchema, InvalidHeader):
            raise Misconfigured("the request cannot be made with this configuration") from None
        except (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            if _was_never_sent(error):
                raise Unavailable("the account's connections were just closed", code="provider_unreachable") from None
            raise OutcomeUnknown(_answer_fault(error)) from None

    def close(self) -> None:
        self._session.close()

    def _prepare(self, request: requests.Request) -> requests.PreparedRequest:
        try:
            return self._session.prepare_request(request)
        except UnicodeError:
            raise Rejected("the text cannot be encoded", code="text_not_encodable") from None
        except (requests.RequestException, HTTPError, ValueError):
            raise Misconfigured("the request cannot be made with this configuration") from None


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.raw.stream(8192, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise OutcomeUnknown("the answer is too large")
    return bytes(body)


def _was_never_sent(error: Exception) -> bool:
    """Another thread closed the pool before this one took a connection out of it."""
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, ClosedPoolError) for cause in error.args
    )


def _answer_fault(error: Exception) -> str:
    causes = (error, *error.args)
    if any(isinstance(cause, requests.Timeout | ReadTimeoutError | TimeoutError) for cause in causes):
        return "no complete answer in time"
    return "the connection broke or the answer cannot be read"
