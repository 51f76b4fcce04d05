"""Restarts processes that end, and stops all of them in order."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from config.run.child import Child

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each restart of a process; after the last one the supervisor gives up."""
STEADY_SECONDS = 60.0
"""After running this long, a process begins with the first pause again."""


@dataclass
class _Watched:
    child: Child
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """`add` starts a process, `check` must be called regularly, `stop` stops all in reverse order."""

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._watched: list[_Watched] = []

    def add(self, child: Child) -> None:
        child.start()
        self._watched.append(_Watched(child, started_at=self._clock()))

    def check(self) -> bool:
        """Restart processes that have ended. Returns False if one of them keeps ending."""
        all_running = True
        for watched in self._watched:
            all_running = self._check_one(watched) and all_running
        return all_running

    def stop(self, *, forced: Callable[[], bool]) -> None:
        while self._watched:
            child = self._watched.pop().child
            child.terminate()
            deadline = self._clock() + child.command.stop_seconds
            while not child.wait(0.1):
                if forced() or self._clock() > deadline:
                    self._say(f"{child.name} did not stop in time and is killed")
                    child.kill()

    def _check_one(self, watched: _Watched) -> bool:
        now = self._clock()
        if watched.restart_at is not None:
            if now >= watched.restart_at:
                watched.child.start()
                watched.started_at, watched.restart_at = now, None
            return True
        code = watched.child.exit_code()
        if code is None:
            return True
        if now - watched.started_at > STEADY_SECONDS:
            watched.failures = 0
        if watched.failures == len(PAUSES):
            self._say(f"{watched.child.name} ended again ({_reason(code)}); giving up")
            return False
        pause = PAUSES[watched.failures]
        watched.failures += 1
        watched.restart_at = now + pause
        self._say(f"{watched.child.name} ended ({_reason(code)}); restarting it in {pause:.0f} s")
        return True


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
