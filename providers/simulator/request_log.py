"""The calls to the simulated carriers and their results, for tests. Texts are kept only of the SMPP carrier's messages."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

MAX_ENTRIES = 200_000


class RequestLog:
    """The newest calls, numbered from 0 over both lists. With a path they are also appended to a file as lines of JSON."""

    def __init__(self, path: Path | None = None, *, max_entries: int = MAX_ENTRIES) -> None:
        self._lock = threading.Lock()
        self._accepted: deque[dict[str, Any]] = deque(maxlen=max_entries)
        self._refused: deque[dict[str, Any]] = deque(maxlen=max_entries)
        self._next = 0
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def accept(
        self,
        *,
        carrier: str,
        message_id: str,
        reference: str,
        to: str,
        status_code: int,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """`more` has further values of the entry."""
        self._add(
            self._accepted,
            {
                "carrier": carrier,
                "message_id": message_id,
                "reference": reference,
                "to": to,
                "status_code": status_code,
                **(more or {}),
            },
        )

    def refuse(self, *, carrier: str, reference: str, to: str, status_code: int, reason: str) -> None:
        self._add(
            self._refused,
            {"carrier": carrier, "reference": reference, "to": to, "status_code": status_code, "reason": reason},
        )

    def since(self, index: int) -> dict[str, Any]:
        """Both lists from an index on; `next` is the next index."""
        with self._lock:
            return {
                "accepted": [entry for entry in self._accepted if entry["index"] >= index],
                "refused": [entry for entry in self._refused if entry["index"] >= index],
                "next": self._next,
            }

    def clear(self) -> None:
        """Delete the entries; the numbering continues."""
        with self._lock:
            self._accepted.clear()
            self._refused.clear()

    def close(self) -> None:
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None

    def _add(self, entries: deque[dict[str, Any]], entry: dict[str, Any]) -> None:
        with self._lock:
            entry |= {"index": self._next, "at": time.time()}
            self._next += 1
            entries.append(entry)
            if self._file:
                outcome = "accepted" if entries is self._accepted else "refused"
                self._file.write(json.dumps({"outcome": outcome, **entry}) + "\n")
                self._file.flush()
