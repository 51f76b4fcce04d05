"""Rules that each message asks for and that change seldom: read with a few queries, and kept in memory for a moment."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """`read_at` is on the monotonic clock; 0 means that it must be read again."""

    read_at: float


Kept = TypeVar("Kept", bound=Timed)


class SnapshotMemory(Generic[Kept]):
    """The last snapshot of this process. One thread reads; those that need it meanwhile wait, and use what it has read.

    `read` gets the last snapshot, and may return it again if nothing has changed. `seconds` is how long one is fresh.
    """

    def __init__(self, empty: Kept, read: Callable[[Kept], Kept], *, seconds: Callable[[], float]) -> None:
        self._snapshot = empty
        self._read = read
        self._seconds = seconds
        self._lock = threading.RLock()
        self._expired = 0  # how often

    def fresh(self) -> Kept:
        snapshot = self._snapshot
        if self._is_fresh(snapshot):
            return snapshot
        with self._lock:
            return self._snapshot if self._is_fresh(self._snapshot) else self.read()

    def read(self) -> Kept:
        """The rules as they are now, whatever is in memory."""
        with self._lock:
            expired, began = self._expired, time.monotonic()
            snapshot = self._read(self._snapshot)
            # What has changed during the read may not be in it.
            snapshot.read_at = began if expired == self._expired else 0.0
            self._snapshot = snapshot
            return snapshot

    def last(self) -> Kept:
        """What this process used last; no query."""
        return self._snapshot

    def expire(self) -> None:
        """Read again when the rules are needed next."""
        self._expired += 1
        self._snapshot.read_at = 0.0

    def use(self, snapshot: Kept) -> None:
        self._snapshot = snapshot

    def _is_fresh(self, snapshot: Kept) -> bool:
        return bool(snapshot.read_at) and time.monotonic() - snapshot.read_at < self._seconds()
