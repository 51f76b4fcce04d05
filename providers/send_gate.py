"""Hook called after connecting and before the first byte of a call is sent.

The gate decides in the call's own thread whether the call may still be made: the lease of its worker on the message must last,
and the account's rate limit must have capacity. An earlier decision is distorted by handshakes, scheduling or a suspended
machine: the call could be sent when another worker owns the message, or together with the calls of the next second.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Gate = Callable[[], float]
"""Returns the seconds that the call has to wait; 0.0 when it may be made now, and then it counts as made.

Raises `providers.errors.NotCalled` for a call that must not be made at all.
"""

_gate: ContextVar[Gate | None] = ContextVar("gate", default=None)


class RetryAfter(Exception):
    """The call was not made; it may be made in `seconds` at the earliest. Not a failure, so not a `SendError`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the call has to wait")
        self.seconds = seconds


@contextmanager
def through(gate: Gate) -> Iterator[None]:
    """Check the calls that this thread makes in the block with this gate."""
    token = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(token)


def check_gate() -> None:
    """Raises `RetryAfter` or `NotCalled`. Code that writes the first byte of a call has to call it before."""
    gate = _gate.get()
    seconds = gate() if gate is not None else 0.0
    if seconds > 0:
        raise RetryAfter(seconds)
