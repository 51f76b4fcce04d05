"""The last moment before a call leaves: its connection is open, and not a byte of it has been written.

The gate decides here, in the call's own thread, whether the call may still be made: whether its worker's lease on the message
lasts, and whether the account's rate limit has room. Asked any earlier, a call could still be held up on its way, by a
handshake, a busy machine or a suspended one, and leave when its message has another owner, or together with the calls of the
next second.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Gate = Callable[[], float]
"""How many seconds the call has to wait; 0.0 when it leaves now, and then it counts as made.

Raises `providers.errors.NotCalled` for one that must not leave at all.
"""

_gate: ContextVar[Gate | None] = ContextVar("gate", default=None)


class RetryAfter(Exception):
    """The call was not made: it may leave `seconds` from now at the earliest. No fault of anybody, so no `SendError`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the call has to wait")
        self.seconds = seconds


@contextmanager
def through(gate: Gate) -> Iterator[None]:
    """Calls that this thread makes within ask this gate; elsewhere there is none."""
    token = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(token)


def check_gate() -> None:
    """Raises `NotYet` or `NotCalled`. For whatever writes the first byte of a call."""
    gate = _gate.get()
    seconds = gate() if gate is not None else 0.0
    if seconds > 0:
        raise RetryAfter(seconds)
