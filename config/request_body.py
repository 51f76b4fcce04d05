"""Receiving a request's body: within a deadline, at a minimum rate, and no more of it than there is room for.

Runs in the event loop, so a slow client costs a connection and no thread. See docs/decisions/0030-slow-clients.md.
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
    """`idle_seconds` is the longest pause, and the time after which the average rate counts."""

    idle_seconds: float = 15.0
    bytes_per_second: int = 4096
    total_seconds: float = 600.0

    def seconds_left(self, *, elapsed: float, received: int) -> float:
        """How long the next piece may take; not positive when the body is too slow already."""
        for_the_rate = self.idle_seconds + received / self.bytes_per_second
        return min(self.idle_seconds, for_the_rate - elapsed, self.total_seconds - elapsed)


class DiskBudget:
    """Bytes that the unfinished and unhandled bodies of one process may take up on disk. Used by one event loop only."""

    def __init__(self, size: int) -> None:
        self._free = size

    def reserve(self, size: int) -> bool:
        if size > self._free:
            return False
        self._free -= size
        return True

    def release(self, size: int) -> None:
        self._free += size


class ReceivedBody(SpooledTemporaryFile):
    """A body as a file: in memory while it is small, then on disk and charged to the budget until it is closed."""

    def __init__(self, budget: DiskBudget) -> None:
        super().__init__(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
        self._budget = budget
        self._charged = 0
        self.size = 0

    def append(self, piece: bytes) -> None:
        """Raises `BodyRefused` when the budget has no room for it."""
        self.size += len(piece)
        if self.size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            more = self.size - self._charged
            if not self._budget.reserve(more):
                raise BodyRefused(HTTPStatus.SERVICE_UNAVAILABLE)
            self._charged += more
        try:
            self.write(piece)
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

    Raises `BodyRefused`, or `RequestAborted` when the client has gone.
    """
    if announced > max_bytes:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    started = time.monotonic()
    more = True
    while more:
        left = limits.seconds_left(elapsed=time.monotonic() - started, received=body.size)
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT) from None
        if message["type"] == "http.disconnect":
            raise RequestAborted
        piece = message.get("body", b"")
        if body.size + len(piece) > max_bytes:
            raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body.append(piece)
        more = message.get("more_body", False)
    body.seek(0)
