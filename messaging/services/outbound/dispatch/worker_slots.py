"""How many drains a worker process runs at once, besides that of the default queue.

Each holds a thread of the worker until its queue is empty, which for bulk at a slow carrier takes hours. Were all threads
held, nobody would be left for `express`, for the tick, the sweep and the clients' callbacks: so only some of them are to be
had, and whoever has one gives it to the next after a while.
"""

import threading
import time
from collections.abc import Callable

# So long a drain may go on while another queue waits for its place.
TURN_SECONDS = 5.0


class Slot:
    """A drain's time at its place: over as soon as it has lasted long enough and another queue waits, and then for good."""

    def __init__(self, must_share: Callable[[], bool]) -> None:
        self._must_share = must_share
        self.is_over = False

    def may_go_on(self) -> bool:
        self.is_over = self.is_over or self._must_share()
        return not self.is_over


class SlotPool:
    """Safe to share between threads. `count` may be set while drains run; none is stopped for that."""

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = count
        self._clock = clock
        self._taken = 0
        self._waiting: dict[str, None] = {}  # in the order in which they came
        self._guard = threading.Lock()

    def take(self, queue_name: str) -> bool:
        """Whether there is a place. Who gets none is rung for when there is one."""
        with self._guard:
            if self._taken >= self.count:
                self._waiting.setdefault(queue_name)
                return False
            self._waiting.pop(queue_name, None)
            self._taken += 1
            return True

    def turn(self) -> Slot:
        """Of a drain that has just got a place."""
        ends_at = self._clock() + TURN_SECONDS
        return Slot(lambda: bool(self._waiting) and self._clock() >= ends_at)

    def give_back(self, queue_name: str, turn: Slot) -> list[str]:
        """Whom to ring for: as many as there are places now, those who have waited longest first.

        A queue whose turn was over before it was empty waits for the next place, behind the others.
        """
        with self._guard:
            self._taken -= 1
            if turn.is_over:
                self._waiting.setdefault(queue_name)
            following = list(self._waiting)[: max(0, self.count - self._taken)]
            for name in following:
                del self._waiting[name]
            return following
