"""References that join the parts of a long text.

A phone puts parts with the same sender, reference and count together, so two texts to one recipient within minutes need
different references. Workers share no counter: a reference is the second in which the text is sent, beside a number of the
recipient's own. One of 8 bits comes again after 256 seconds.
"""

import threading
from datetime import datetime
from typing import Final
from zlib import crc32

MAX_KEPT: Final = 1_000


class References:
    """Gives one recipient a new reference for each text, also for several within a second. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, int] = {}

    def next(self, recipient: str, *, now: datetime) -> int:
        """An integer of which the caller takes the lowest 8 or 16 bits."""
        second = int(now.timestamp())
        with self._lock:
            tick = max(second, self._latest.get(recipient, 0) + 1)
            if len(self._latest) >= MAX_KEPT:  # those of earlier seconds have no further effect
                self._latest = {each: latest for each, latest in self._latest.items() if latest >= second}
            self._latest[recipient] = tick
        return tick + crc32(recipient.encode())
