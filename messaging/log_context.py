"""Ids of the current request and message for log lines, and spans where traces are recorded.

A request has its id while it lasts. After it the message's own id connects the lines: queue notifications are merged, so a task
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


class Tracer(Protocol):
    """Records traces; `config.tracing` has one. Attributes hold neither text, number nor secret."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span | None]:
        """A span around an incoming request. It continues the caller's trace, if the headers name one."""

    def keep(self, messages: Sequence[UUID]) -> None:
        """Assign these messages to the current trace."""

    def call(self, message: UUID, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span | None]:
        """A span around a provider call, in the trace that the message belongs to."""


class NullTracer:
    """Used while traces are off: records nothing, at no cost."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        return nullcontext()

    def keep(self, messages: Sequence[UUID]) -> None:
        pass

    def call(self, message: UUID, attributes: Mapping[str, str | int]) -> AbstractContextManager[None]:
        return nullcontext()


NULL_TRACER = NullTracer()


class _Active:
    tracer: Tracer = NULL_TRACER


def set_tracer(chosen: Tracer | None) -> None:
    """Use this tracer for the process; None turns traces off."""
    _Active.tracer = chosen or NULL_TRACER


def tracer() -> Tracer:
    return _Active.tracer


@contextmanager
def request_context(given: str) -> Iterator[None]:
    """Add this request id to the log lines written within."""
    token = request_id.set(given)
    try:
        yield
    finally:
        request_id.reset(token)


@contextmanager
def message_context(given: UUID) -> Iterator[None]:
    """Add this message id to the log lines written within."""
    token = message_id.set(str(given))
    try:
        yield
    finally:
        message_id.reset(token)


def log_accepted(messages: Sequence[UUID]) -> None:
    """Log, and trace, that the current request created these messages."""
    tracer().keep(messages)
    if logger.isEnabledFor(logging.INFO):
        for message in messages:
            with message_context(message):
                logger.info("accepted")


def log_attempt(slug: str, *, number: int, outcome: str, latency_ms: int) -> None:
    logger.info("attempt %d at %s: %s in %d ms", number, slug, outcome, latency_ms)


def log_receipt(slug: str, *, reported: str, state: str) -> None:
    logger.info("receipt of %s: %s, %s", slug, reported, state)
