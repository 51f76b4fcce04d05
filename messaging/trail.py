"""The trail of a message through the processes: the ids in log lines, and spans where somebody records traces.

A request has its id while it lasts. After it the message's own id is the thread: rings of the doorbell are merged, so a task
belongs to no single request.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol
from uuid import UUID

logger = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
message_id: ContextVar[str] = ContextVar("message_id", default="")


class Span(Protocol):
    def set_attribute(self, key: str, value: str | int) -> object: ...


class Recorder(Protocol):
    """Somebody who records traces; `config.tracing` is one. Attributes hold neither text, number nor secret."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span | None]:
        """A span around an incoming request, which goes on with the caller's trace if it has one."""

    def keep(self, messages: Sequence[UUID]) -> None:
        """These messages belong to the trace that is open now."""

    def call(self, message: UUID, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span | None]:
        """A span around a provider call, in the trace that the message belongs to."""


class _Nobody:
    """Traces are off: nothing is recorded, and it costs nothing."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        return nullcontext()

    def keep(self, messages: Sequence[UUID]) -> None:
        pass

    def call(self, message: UUID, attributes: Mapping[str, str | int]) -> AbstractContextManager[None]:
        return nullcontext()


NOBODY = _Nobody()


class _Post:
    recorder: Recorder = NOBODY


def record_with(recorder: Recorder | None) -> None:
    """From now on this one records traces in this process; None: nobody does."""
    _Post.recorder = recorder or NOBODY


def recorder() -> Recorder:
    return _Post.recorder


@contextmanager
def of_request(given: str) -> Iterator[None]:
    """Log lines within carry this request id."""
    token = request_id.set(given)
    try:
        yield
    finally:
        request_id.reset(token)


@contextmanager
def of_message(given: UUID) -> Iterator[None]:
    """Log lines within carry this message id."""
    token = message_id.set(str(given))
    try:
        yield
    finally:
        message_id.reset(token)


def accepted(messages: Sequence[UUID]) -> None:
    """The request of this moment has created these messages."""
    recorder().keep(messages)
    if logger.isEnabledFor(logging.INFO):
        for message in messages:
            with of_message(message):
                logger.info("accepted")


def called(slug: str, *, number: int, outcome: str, latency_ms: int) -> None:
    logger.info("attempt %d at %s: %s in %d ms", number, slug, outcome, latency_ms)


def receipted(slug: str, *, reported: str, state: str) -> None:
    logger.info("receipt of %s: %s, %s", slug, reported, state)
