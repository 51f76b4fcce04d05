"""Calls that are written down and wait for their departure: no thread waits with them."""

import heapq
import itertools
from collections.abc import Iterator

from messaging.services.outbound.dispatch.attempts import Attempt


class DelayedCalls:
    """Of one loop. Times are those of the monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Attempt]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, call: Attempt) -> None:
        heapq.heappush(self._heap, (call.not_before, next(self._numbers), call))

    def seconds_to_next(self, now: float) -> float | None:
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def __iter__(self) -> Iterator[Attempt]:
        return (call for _, _, call in self._heap)

    def due(self, now: float, *, limit: int) -> list[Attempt]:
        """Up to `limit` calls whose time has come."""
        leaving: list[Attempt] = []
        while self._heap and len(leaving) < limit and self._heap[0][0] <= now:
            leaving.append(heapq.heappop(self._heap)[2])
        return leaving
