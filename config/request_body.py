"""Receives request bodies with a deadline, a minimum rate and a limit on disk space.

Runs in the event loop, so a slow client occupies a connection but no thread (docs/decisions/0030-slow-clients.md).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import RequestAborted

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class BodyRefused(Exception):
    """The rest of the body is not read; `status` is the response (408, 413 or 503)."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """`idle_seconds` is the longest pause and the initial time budget.

    Each byte adds its time at the minimum rate to the budget, which never exceeds `most_in_hand_seconds`: a fast start cannot
    pay for a slow end.
    """

    idle_seconds: float = 15.0
    bytes_per_second: int = 4096
    most_in_hand_seconds: float = 60.0
    total_seconds: float = 600.0


class Deadline:
    """The deadline of one body. Times are seconds since the wait for its first byte began."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._rate_ends = limits.idle_seconds

    def seconds_left(self, now: float) -> float:
        """Return how long the next chunk may take; zero or less if the body is already too slow."""
        return min(self._limits.idle_seconds, self._rate_ends - now, self._limits.total_seconds - now)

    def received(self, size: int, now: float) -> None:
        earned = self._rate_ends + size / self._limits.bytes_per_second
        self._rate_ends = min(earned, now + self._limits.most_in_hand_seconds)


class DiskBudget:
    """Bytes on disk for all bodies of one process that are being received or handled. Used by one event loop only."""

    def __init__(self, size: int) -> None:
        self._free = size

    def reserve(self, size: int) -> bool:
        if size > self._free:
            return False
        self._free -= size
        return True

    def release(self, size: int) -> None:
        self._free += size


class ReceivedBody(SpooledTemporaryFile[bytes]):
    """A body as a file: in memory while it is small, then on disk and charged to the budget until it is closed."""

    def __init__(self, budget: DiskBudget) -> None:
        super().__init__(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
        self._budget = budget
        self._charged = 0
        self.size = 0

    def append(self, chunk: bytes) -> None:
        """Raises `BodyRefused` if the budget is exceeded."""
        self.size += len(chunk)
        if self.size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            more = self.size - self._charged
            if not self._budget.reserve(more):
                raise BodyRefused(HTTPStatus.SERVICE_UNAVAILABLE)
            self._charged += more
        try:
            self.write(chunk)
        except OSError as error:  # the disk is full, or too many files are open
            logger.error("a body cannot be stored: %s", error)
            raise BodyRefused(HTTPStatus.SERVICE_UNAVAILABLE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Close the file and return its share of the budget. May be called twice."""
        self._budget.release(self._charged)
        self._charged = 0
        self.close()


async def receive_body(
    receive: Receive, body: ReceivedBody, *, announced: int, max_bytes: int, limits: BodyLimits
) -> None:
    """Append the whole body to `body` and rewind it. `announced` is its Content-Length, 0 if there is none.

    Raises `BodyRefused`, or `RequestAborted` if the client disconnects.
    """
    if announced > max_bytes:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    started, deadline = time.monotonic(), Deadline(limits)
    more = True
    while more:
        try:
            async with asyncio.timeout(deadline.seconds_left(time.monotonic() - started)):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT) from None
        if message["type"] == "http.disconnect":
            raise RequestAborted
        chunk = message.get("body", b"")
        if body.size + len(chunk) > max_bytes:
            raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body.append(chunk)
        deadline.received(len(chunk), time.monotonic() - started)
        more = message.get("more_body", False)
    body.seek(0)
