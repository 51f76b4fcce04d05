"""Connections that say whether a failed call can have reached the other side, and that wait no longer than they may.

What goes wrong while connecting (name, refusal, time-out, TLS) happened before a byte of the request left. An answer, with
its headers, has one deadline, however slowly it trickles in.
"""

import functools
import http.client
import io
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError, SSLError

from providers import send_gate

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


class BoundedConnection(HTTPConnection):
    """Tells failures to connect apart, and gives the whole answer, headers included, one deadline."""

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NotConnectedError(_connect_fault(error)) from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.is_closed:
            self.connect()
        send_gate.check_gate()
        super().request(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:
        # urllib3 has put the read time-out here by now; on a socket it would only limit each single wait.
        deadline = time.monotonic() + float(self.timeout)
        self.response_class = functools.partial(_BoundedResponse, deadline=deadline)
        return super().getresponse()


class BoundedTLSConnection(BoundedConnection, HTTPSConnection):
    """The same over TLS."""


def _connect_fault(error: Exception) -> str:
    for classes, words in CONNECT_FAULTS:
        if isinstance(error, classes):
            return words
    return "the connection could not be made"


def answer_fault(error: Exception) -> str:
    """What went wrong after the request had left, in words without addresses."""
    if any(isinstance(cause, ReadTimeoutError | TimeoutError) for cause in (error, *error.args)):
        return "no complete answer in time"
    return "the connection broke or the answer cannot be read"
