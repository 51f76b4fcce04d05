"""The carriers' delivery receipts, posted with a delay from a few threads, and again if they are not accepted."""

import heapq
import itertools
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError

POSTERS = 8
MAX_PENDING = 200_000
POST_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
RETRY_DELAYS: Sequence[float] = (0.5, 1, 2, 4, 8, 16, 30)
BETWEEN_RECEIPTS = 0.1
# The app may be overloaded or restarting; any other 4xx is final.
RETRYABLE_CLIENT_ERRORS = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class SimulatedReceipt:
    """The statuses of one message that are still to be posted, in order."""

    url: str
    message_id: str
    statuses: tuple[str, ...]
    tries: int = 0


class ReceiptPoster:
    """Posts receipts when they are due, and counts them: `posted`, `refused`, `given_up`."""

    def __init__(self, *, retry_delays: Sequence[float] = RETRY_DELAYS, threads: int = POSTERS) -> None:
        self._retry_delays = retry_delays
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=threads, retries=False, timeout=POST_TIMEOUT)
        self._due = threading.Condition()
        self._heap: list[tuple[float, int, SimulatedReceipt]] = []
        self._order = itertools.count()
        self._counts = {"posted": 0, "refused": 0, "given_up": 0}
        self._is_closed = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def schedule(self, receipt: SimulatedReceipt, *, delay: float) -> None:
        with self._due:
            if self._is_closed or not receipt.statuses:
                return
            if len(self._heap) >= MAX_PENDING:
                self._counts["given_up"] += 1
                return
            heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), receipt))
            self._due.notify()

    def post_now(self, receipt: SimulatedReceipt) -> None:
        """Post the first status before returning; the others, and a failed post, are scheduled."""
        self._post(receipt)

    def counts(self) -> dict[str, int]:
        with self._due:
            return {**self._counts, "pending": len(self._heap)}

    def close(self) -> None:
        with self._due:
            self._is_closed = True
            self._heap.clear()
            self._due.notify_all()
        for thread in self._threads:
            thread.join(timeout=1)
        self._pool.clear()

    def _run(self) -> None:
        while (receipt := self._next_due()) is not None:
            self._post(receipt)

    def _next_due(self) -> SimulatedReceipt | None:
        with self._due:
            while not self._is_closed:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._due.wait(wait)
        return None

    def _post(self, receipt: SimulatedReceipt) -> None:
        body = json.dumps({"status": receipt.statuses[0], "message_id": receipt.message_id})
        try:
            response = self._pool.request(
                "POST", receipt.url, body=body, headers={"Content-Type": "application/json"}, redirect=False
            )
            status = response.status
        except (HTTPError, OSError, ValueError):
            status = 0
        if status and 200 <= status <= 299:  # noqa: PLR2004
            self._count("posted")
            self.schedule(
                SimulatedReceipt(receipt.url, receipt.message_id, receipt.statuses[1:]), delay=BETWEEN_RECEIPTS
            )
        elif 300 <= status <= 499 and status not in RETRYABLE_CLIENT_ERRORS:  # noqa: PLR2004
            self._count("refused")
        elif receipt.tries < len(self._retry_delays):
            again = SimulatedReceipt(receipt.url, receipt.message_id, receipt.statuses, receipt.tries + 1)
            self.schedule(again, delay=self._retry_delays[receipt.tries])
        else:
            self._count("given_up")

    def _count(self, outcome: str) -> None:
        with self._due:
            self._counts[outcome] += 1
