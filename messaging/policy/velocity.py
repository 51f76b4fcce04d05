"""How many texts in a time: what is counted, and the count of one process for when no shared one is reachable."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

RECIPIENT_RATE_EXCEEDED, VELOCITY_EXCEEDED = "recipient_rate_exceeded", "velocity_exceeded"
HOUR, MINUTE = 3600, 60
# An hour is counted in parts of five minutes. A part leaves when all of it is over an hour old.
PART = 300
PARTS = HOUR // PART + 1
MAX_COUNTERS = 50_000


class Counting(StrEnum):
    """What a judgement does: `RESERVE` counts what is within the limits, `NOTE` counts everything and refuses nothing."""

    RESERVE = "reserve"
    NOTE = "note"
    PEEK = "peek"
    RELEASE = "release"


class Scope(StrEnum):
    """Which limit. The first two are per recipient, in an hour."""

    RECIPIENT = "recipient"
    RECIPIENT_OF_ALL = "recipient_of_all"
    NEW_RECIPIENTS = "new_recipients"
    CALLING_CODE = "calling_code"


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many texts; None: no limit. An owner's own limits stand before those for all."""

    recipient_per_hour: int | None = None
    recipient_of_all_per_hour: int | None = None
    new_recipients_per_minute: int | None = None
    calling_code_per_hour: int | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """One limit that one message needs room in. `counter` names what is counted; `member` is the recipient, not readable."""

    scope: Scope
    counter: str
    limit: int
    member: str = ""


@dataclass(frozen=True, slots=True)
class Exceeded:
    """`wait` is in seconds: then there is room again, unless others take it."""

    scope: Scope
    limit: int
    wait: float

    @property
    def code(self) -> str:
        is_recipient = self.scope in {Scope.RECIPIENT, Scope.RECIPIENT_OF_ALL}
        return RECIPIENT_RATE_EXCEEDED if is_recipient else VELOCITY_EXCEEDED


@dataclass(slots=True)
class LocalCounters:
    """Counts in this process. The shared script of `services.limits.velocity` counts alike, and a test compares them."""

    _parts: dict[str, dict[int, int]] = field(default_factory=dict)
    _seen: dict[str, dict[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(
        self, messages: Sequence[Sequence[Demand]], *, counting: Counting, now: float
    ) -> list[tuple[int, float] | None]:
        """For each message, in order, the place of the demand that has no room and the seconds to wait; or None."""
        with self._lock:
            if len(self._parts) + len(self._seen) > MAX_COUNTERS:
                self._parts.clear()
                self._seen.clear()
            return [self._judge_one(demands, counting, now) for demands in messages]

    def _judge_one(self, demands: Sequence[Demand], counting: Counting, now: float) -> tuple[int, float] | None:
        if counting in {Counting.RESERVE, Counting.PEEK}:
            for place, demand in enumerate(demands):
                wait = self._wait(demand, now)
                if wait is not None:
                    return place, wait
        for demand in demands:
            if counting is not Counting.PEEK:
                self._count(demand, counting, now)
        return None

    def _wait(self, demand: Demand, now: float) -> float | None:
        if demand.scope is Scope.NEW_RECIPIENTS:
            seen = {name: at for name, at in self._seen.get(demand.counter, {}).items() if at > now - MINUTE}
            if demand.member in seen or len(seen) < demand.limit:
                return None
            return sorted(seen.values())[len(seen) - demand.limit] + MINUTE - now
        this = int(now // PART)
        kept = {part: count for part, count in self._parts.get(demand.counter, {}).items() if part > this - PARTS}
        left = sum(kept.values())
        if left < demand.limit:
            return None
        for part in sorted(kept):
            left -= kept[part]
            if left < demand.limit:
                return (part + PARTS) * PART - now
        return float(HOUR)

    def _count(self, demand: Demand, counting: Counting, now: float) -> None:
        if demand.scope is Scope.NEW_RECIPIENTS:
            if counting is not Counting.RELEASE:
                seen = self._seen.get(demand.counter, {})
                self._seen[demand.counter] = {name: at for name, at in seen.items() if at > now - MINUTE} | {
                    demand.member: now
                }
            return
        this = int(now // PART)
        parts = {part: count for part, count in self._parts.get(demand.counter, {}).items() if part > this - PARTS}
        if counting is not Counting.RELEASE:
            parts[this] = parts.get(this, 0) + 1
        elif parts.get(this) or parts.get(this - 1):
            part = this if parts.get(this) else this - 1
            parts[part] -= 1
        self._parts[demand.counter] = parts
