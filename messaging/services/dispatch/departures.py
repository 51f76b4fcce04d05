"""Calls that are written down and wait for their departure: no thread waits with them."""

import heapq
import itertools
from collections.abc import Iterator

from messaging.services.dispatch.begin import Call


class Departures:
    """Of one loop. Times are those of the monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, call: Call) -> None:
        heapq.heappush(self._heap, (call.departs_at, next(self._numbers), call))

    def seconds_to_next(self, now: float) -> float | None:
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def __iter__(self) -> Iterator[Call]:
        return (call for _, _, call in self._heap)

    def due(self, now: float, *, limit: int) -> list[Call]:
        """Up to `limit` calls whose time has come."""
        leaving: list[Call] = []
        while self._heap and len(leaving) < limit and self._heap[0][0] <= now:
            leaving.append(heapq.heappop(self._heap)[2])
        return leaving
