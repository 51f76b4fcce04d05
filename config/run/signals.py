"""Signals that stop the supervisor."""

import signal
import time
from types import FrameType

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SAME_REQUEST_SECONDS = 1.0
"""A second signal within this time repeats the first: `make` forwards the signal that the terminal sent to all."""


class StopSignals:
    """After `install`, the first signal requests an orderly stop, a later one a forced stop."""

    def __init__(self) -> None:
        self._first_at: float | None = None
        self._forced = False

    def install(self) -> None:
        for number in STOPPING:
            signal.signal(number, self._received)

    def stop_requested(self) -> bool:
        return self._first_at is not None

    def forced(self) -> bool:
        return self._forced

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at > SAME_REQUEST_SECONDS:
            self._forced = True
