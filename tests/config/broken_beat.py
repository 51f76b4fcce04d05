"""Schedulers that break Celery's beat on purpose: `celery beat --scheduler tests.config.broken_beat:Raising`."""

import time
from typing import Any

from config import beat, beat_watchdog


class Raising(beat.Scheduler):
    def tick(self, *args: Any, **kwargs: Any) -> float:
        raise RuntimeError("broken on purpose")


class Hanging(beat.Scheduler):
    """Hangs longer than the watchdog allows, with a shorter limit."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        beat_watchdog.HANG_SECONDS = 0.1
        beat_watchdog.TOUCH_SECONDS = 0.0
        self.watchdog.tick_started()
        time.sleep(60)
        return 0.0
