"""The state of one queue's run in this process."""

import contextlib
import threading
from concurrent.futures import Executor, Future, InvalidStateError
from dataclasses import dataclass, field


@dataclass(slots=True)
class QueueRunner:
    """Whether a run of the queue is active (`busy`), and whether the queue was notified since the run last claimed.

    The wake-up is a `Future` so that the loop can `wait()` on it together with the in-flight calls.
    """

    executor: Executor
    busy: threading.Lock = field(default_factory=threading.Lock)
    notified: threading.Event = field(default_factory=threading.Event)
    wakeup: Future[None] = field(default_factory=Future)

    def notify(self) -> None:
        self.notified.set()
        with contextlib.suppress(InvalidStateError):  # another thread has notified at the same time
            self.wakeup.set_result(None)

    def clear(self) -> None:
        """Reset the notification. Call it before claiming, so that a later notification leads to another claim."""
        self.notified.clear()
        if self.wakeup.done():
            self.wakeup = Future()
