"""Limits how many queues a worker process runs at once, not counting the default queue.

A run holds a worker thread until its queue is empty, which can take hours for a bulk queue on a slow carrier. This limit keeps
threads free for `express`, ticks and callbacks. A run releases its slot to a waiting queue after some seconds.
"""

import threading
import time
from collections.abc import Callable

# After this time a run ends if another queue waits for a slot.
SLOT_SECONDS = 5.0


class Slot:
    """Permission for one run of a queue. Expires for good when another queue waits after `SLOT_SECONDS`."""

    def __init__(self, must_share: Callable[[], bool]) -> None:
        self._must_share = must_share
        self.has_expired = False

    def may_go_on(self) -> bool:
        self.has_expired = self.has_expired or self._must_share()
        return not self.has_expired


class SlotPool:
    """Thread-safe. `count` may change while queues run; none of them is interrupted."""

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = count
        self._clock = clock
        self._acquired = 0
        self._waiting: dict[str, None] = {}  # in the order of their requests
        self._guard = threading.Lock()

    def acquire(self, queue_name: str) -> Slot | None:
        """A slot, or None if all are in use. `release` returns the queue when one becomes free."""
        with self._guard:
            if self._acquired >= self.count:
                self._waiting.setdefault(queue_name)
                return None
            self._waiting.pop(queue_name, None)
            self._acquired += 1
        ends_at = self._clock() + SLOT_SECONDS
        return Slot(lambda: bool(self._waiting) and self._clock() >= ends_at)

    def release(self, queue_name: str, slot: Slot) -> list[str]:
        """Return the queues to notify, longest-waiting first, at most one per free slot.

        A queue whose slot expired before it was empty waits for another one, behind the others.
        """
        with self._guard:
            self._acquired -= 1
            if slot.has_expired:
                self._waiting.setdefault(queue_name)
            following = list(self._waiting)[: max(0, self.count - self._acquired)]
            for name in following:
                del self._waiting[name]
            return following
