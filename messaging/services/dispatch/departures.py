"""Calls that are written down and wait for their departure: no thread waits with them."""

import heapq
import itertools

from messaging.services.dispatch.begin import Call
from providers import limits
from providers.candidates import per_second_of


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

    def due(self, now: float, *, limit: int) -> list[Call]:
        """Up to `limit` calls that leave now. One that its account's window does not let through tries again a little later."""
        leaving: list[Call] = []
        while self._heap and len(leaving) < limit and self._heap[0][0] <= now:
            call = heapq.heappop(self._heap)[2]
            per_second = per_second_of(call.account) if call.departs_at else None
            if per_second is None or limits.may_leave(call.account.slug, per_second, call.message.segments):
                leaving.append(call)
            else:
                heapq.heappush(self._heap, (now + limits.ASK_AGAIN_SECONDS, next(self._numbers), call))
        return leaving
