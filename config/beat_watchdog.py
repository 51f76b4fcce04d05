"""Ends a beat that hangs, so that whatever runs it starts it again, and tells a health check that it does not."""

import faulthandler
import logging
import time
from pathlib import Path

logger = logging.getLogger(__name__)

# Longer than the slowest pass: a Redis that hangs holds one for 30 seconds, a database for a few.
HANG_SECONDS = 120.0
SIGN_SECONDS = 1.0


class Watchdog:
    """Does nothing before `start`. After it, `tick_started` must be called again within `HANG_SECONDS`.

    Otherwise the stacks of all threads are printed to standard error and the process ends with exit code 1, even if
    the hanging thread holds the interpreter's lock. `file`, if there is one, is touched once a second meanwhile.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._is_running = False
        self._last_sign = 0.0

    def start(self) -> None:
        self._is_running = True
        self.tick_started()

    def tick_started(self) -> None:
        now = time.monotonic()
        if not self._is_running or now < self._last_sign + SIGN_SECONDS:
            return
        self._last_sign = now
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        if self._file:
            self._touch(self._file)

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
        except OSError as error:
            logger.error("the heartbeat file cannot be written, beat goes on without it: %s", error)
            self._file = None
