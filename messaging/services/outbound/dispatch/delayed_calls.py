"""Calls that must not be made yet. They wait in a heap, without a thread of their own."""

import heapq
import itertools
from collections.abc import Iterator

from messaging.services.outbound.dispatch.attempts import Attempt


class DelayedCalls:
    """Attempts of one run, by the time before which they must not be sent. Times are those of the monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Attempt]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Attempt]:
        return (attempt for _, _, attempt in self._heap)

    def add(self, attempt: Attempt) -> None:
        heapq.heappush(self._heap, (attempt.not_before, next(self._numbers), attempt))

    def seconds_to_next(self, now: float) -> float | None:
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def due(self, now: float, *, limit: int) -> list[Attempt]:
        """Remove and return up to `limit` attempts that may be sent now, in order."""
        due: list[Attempt] = []
        while self._heap and len(due) < limit and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due
