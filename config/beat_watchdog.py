"""Ends a hanging beat, so that its supervisor restarts it, and touches a heartbeat file for health checks."""

import faulthandler
import logging
import time
from pathlib import Path

logger = logging.getLogger(__name__)

# Longer than the slowest tick: a hanging Redis blocks one for 30 seconds, a hanging database for a few.
HANG_SECONDS = 120.0
TOUCH_SECONDS = 1.0


class Watchdog:
    """Does nothing before `start`. After it, `tick_started` must be called at least every `HANG_SECONDS`.

    Otherwise the stacks of all threads are printed to standard error and the process ends with exit code 1, even if
    the hanging thread holds the interpreter's lock. `file` is touched at most once a second.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._is_running = False
        self._last_touch = 0.0

    def start(self) -> None:
        self._is_running = True
        self.tick_started()

    def tick_started(self) -> None:
        now = time.monotonic()
        if not self._is_running or now < self._last_touch + TOUCH_SECONDS:
            return
        self._last_touch = now
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        if self._file:
            self._touch(self._file)

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
        except OSError as error:
            logger.error("the heartbeat file cannot be written, beat continues without it: %s", error)
            self._file = None
