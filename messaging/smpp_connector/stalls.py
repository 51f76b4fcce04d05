"""Notices that this process stood still: it was suspended, or its machine was.

What workers handed over meanwhile is old: they have given up by now, and an operator may have sent those messages again. It
must not be written when the process goes on.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

BEAT_SECONDS: Final = 0.5
# Less than a worker waits for its answer.
STALL_SECONDS: Final = 5.0
# After a stall, until what had piled up in the sockets has been read and refused.
REFUSE_SECONDS: Final = 1.0


def _boot_time() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


class StallWatch:
    """`start` it in the event loop; `just_ended` says whether the loop stood still a moment ago."""

    def __init__(self, clock: Callable[[], float] = _boot_time) -> None:
        self._clock = clock
        self._beat_at = clock()
        self._refuse_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._beat()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def just_ended(self) -> bool:
        self._look()
        return self._clock() < self._refuse_until

    def _beat(self) -> None:
        self._look()
        self._beat_at = self._clock()
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _look(self) -> None:
        now = self._clock()
        if now - self._beat_at > STALL_SECONDS:
            self._refuse_until = now + REFUSE_SECONDS
            self._beat_at = now
