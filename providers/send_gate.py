"""Hook called after connecting and before the first byte of a call is sent.

The gate decides in the call's own thread whether the call may still be made: the lease of its worker on the message must last,
and the account's rate limit must have capacity. An earlier decision is distorted by handshakes, scheduling or a suspended
machine: the call could be sent when another worker owns the message, or together with the calls of the next second.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Gate = Callable[[], float]
"""Returns the seconds that the call has to wait; 0.0 when it may be made now, and then it counts as made.

Raises `providers.errors.NotCalled` for a call that must not be made at all.
"""

Recheck = Callable[[], None]
"""Raises `NotCalled`, as a gate does, but counts nothing."""


@dataclass(slots=True)
class _Passage:
    """What is asked before each request. Of the tries of `one_call`, only the first is counted."""

    gate: Gate
    recheck: Recheck
    is_one_call: bool = False
    is_counted: bool = False


_passage: ContextVar[_Passage | None] = ContextVar("passage", default=None)


class RetryAfter(Exception):
    """The call was not made; it may be made in `seconds` at the earliest. Not a failure, so not a `SendError`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the call has to wait")
        self.seconds = seconds


@contextmanager
def through(gate: Gate, *, recheck: Recheck = lambda: None) -> Iterator[None]:
    """Check the calls that this thread makes in the block with this gate.

    `recheck` is the part of it that may change with time: it is asked before a further try of a call that is counted already.
    """
    token = _passage.set(_Passage(gate, recheck))
    try:
        yield
    finally:
        _passage.reset(token)


@contextmanager
def one_call() -> Iterator[None]:
    """The requests of the block are tries of one call, of which at most one is carried out: it is counted once."""
    passage = _passage.get()
    if passage is None:
        yield
        return
    passage.is_one_call, passage.is_counted = True, False
    try:
        yield
    finally:
        passage.is_one_call = False


def check_gate() -> None:
    """Raises `RetryAfter` or `NotCalled`. Code that writes the first byte of a call has to call it before."""
    passage = _passage.get()
    if passage is None:
        return
    if passage.is_one_call and passage.is_counted:
        passage.recheck()
        return
    seconds = passage.gate()
    if seconds > 0:
        raise RetryAfter(seconds)
    passage.is_counted = True
