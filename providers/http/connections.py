"""Connections that separate failures before the first byte of a request from later ones, and bound the time of a response.

A failure while connecting (name, refusal, time-out, TLS, a proxy that opens no tunnel) happened before the first byte of the
request was sent. A response, headers included, has one deadline, even if its bytes arrive one by one.
"""

import contextlib
import functools
import http.client
import io
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError, SSLError

from providers import send_gate

# At lower levels urllib3 logs URLs with their query, which for a GET contains the number and the text.
logging.getLogger("urllib3").setLevel(logging.ERROR)

# The first match wins: later classes are bases of earlier ones.
CONNECT_FAULTS: Sequence[tuple[tuple[type[Exception], ...], str]] = (
    ((NameResolutionError,), "the host name is not known"),
    ((NewConnectionError,), "the connection was refused"),
    ((ConnectTimeoutError, TimeoutError), "connecting took too long"),
    ((ssl.SSLError, ssl.CertificateError, SSLError), "the TLS handshake failed"),
)

# The text of the error for a proxy that answers CONNECT with another status than 200.
TUNNEL_STATUS = re.compile(r"Tunnel connection failed: ([0-9]{3})")


class NotConnectedError(Exception):
    """The connection could not be made. A class that urllib3 does not know, so that it is not wrapped."""


class NoResponseError(http.client.HTTPException):
    """The connection ended before the first byte of the response. urllib3 wraps it."""


class _BoundedReader(io.RawIOBase):
    """Reads from a socket until a deadline; the time-out of a socket limits each read only."""

    def __init__(self, sock: socket.socket, deadline: float, note: Callable[[], None]) -> None:
        self._sock = sock
        self._note = note
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds_left = self._deadline - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError("the response took too long")
        self._sock.settimeout(seconds_left)
        count = self._raw.readinto(buffer)
        if count:
            self._note()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, *args: Any, deadline: float, note: Callable[[], None], **kwargs: Any
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock, deadline, note))


class BoundedConnection(HTTPConnection):
    """Raises `NotConnectedError` before the first byte is sent, asks the send gate, and gives the response one deadline."""

    _is_answered = False

    def connect(self) -> None:
        seconds = seconds_of(self.timeout)
        self._limit_response(seconds)  # a proxy's response to CONNECT
        try:
            super().connect()
        except Exception as error:
            place = "through the proxy: " if self.proxy else ""
            raise NotConnectedError(f"{place}{_connect_fault(error)}") from error
        if self.proxy:  # its response was read with what was left of the time
            self.sock.settimeout(seconds)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()
        send_gate.check_gate()
        # The peer closed while the request was written, and may have said why: its response, or its alert, is read as
        # urllib3 does it after a `BrokenPipeError`.
        with contextlib.suppress(ssl.SSLEOFError):
            super().request(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3's own override has this type too
        # urllib3 has set the read time-out here; on a socket it would limit each read only.
        self._limit_response(seconds_of(self.timeout))
        try:
            return super().getresponse()
        except ConnectionError as error:
            if self._is_answered:
                raise
            raise NoResponseError from error

    def _limit_response(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._is_answered = False
        # http.client only calls it: a partial does where a class is declared
        self.response_class = functools.partial(  # type: ignore[assignment]
            _BoundedResponse, deadline=deadline, note=self._note_answer
        )

    def _note_answer(self) -> None:
        self._is_answered = True


class BoundedTLSConnection(BoundedConnection, HTTPSConnection):
    """A `BoundedConnection` over TLS."""


def seconds_of(timeout: float | None) -> float:
    """A connection's time-out, which every call of ours sets. Raises `ValueError` for a connection without one."""
    if timeout is None:
        raise ValueError("the connection has no time-out")
    return float(timeout)


def _connect_fault(error: Exception) -> str:
    for classes, description in CONNECT_FAULTS:
        if isinstance(error, classes):
            return description
    refusal = TUNNEL_STATUS.search(str(error))
    return f"CONNECT was answered with {refusal[1]}" if refusal else "the connection could not be made"


def response_fault(error: Exception) -> str:
    """A description of a failure after the request was sent, without addresses."""
    if any(isinstance(cause, ReadTimeoutError | TimeoutError) for cause in (error, *error.args)):
        return "no complete response in time"
    return "the connection broke or the response cannot be read"
