"""Being asked to stop."""

import signal
import time
from types import FrameType

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SECOND_THOUGHT_SECONDS = 1.0
"""Sooner than that a second signal is the same wish by another way: make hands on what the terminal sent already."""


class StopSignals:
    """From `install` on, the first signal asks for an orderly stop, a later one for a quick one."""

    def __init__(self) -> None:
        self._first_at: float | None = None
        self._hurry = False

    def install(self) -> None:
        for number in STOPPING:
            signal.signal(number, self._received)

    def asked(self) -> bool:
        return self._first_at is not None

    def in_a_hurry(self) -> bool:
        return self._hurry

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at > SECOND_THOUGHT_SECONDS:
            self._hurry = True
