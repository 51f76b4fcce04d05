"""Keeps the processes running, and stops them in order."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from config.run.child import Child

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new start of a process that stopped by itself; after the last one we give up."""
STEADY_SECONDS = 60.0
"""Having run that long, a process starts with the first pause again."""


@dataclass
class _Watched:
    child: Child
    started_at: float
    failures: int = 0
    start_again_at: float | None = None


class Supervisor:
    """`add` starts a process, `look` is called again and again, `stop` ends the last added first."""

    def __init__(self, say: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._watched: list[_Watched] = []

    def add(self, child: Child) -> None:
        child.start()
        self._watched.append(_Watched(child, started_at=self._clock()))

    def look(self) -> bool:
        """Start again what stopped by itself. False: one of them keeps stopping, there is no point in going on."""
        hopeful = True
        for watched in self._watched:
            hopeful = self._look_at(watched) and hopeful
        return hopeful

    def stop(self, *, in_a_hurry: Callable[[], bool]) -> None:
        while self._watched:
            child = self._watched.pop().child
            child.terminate()
            deadline = self._clock() + child.command.stop_seconds
            while not child.wait(0.1):
                if in_a_hurry() or self._clock() > deadline:
                    self._say(f"{child.name} did not stop in time and is killed")
                    child.kill()

    def _look_at(self, watched: _Watched) -> bool:
        now = self._clock()
        if watched.start_again_at is not None:
            if now >= watched.start_again_at:
                watched.child.start()
                watched.started_at, watched.start_again_at = now, None
            return True
        code = watched.child.exit_code()
        if code is None:
            return True
        if now - watched.started_at > STEADY_SECONDS:
            watched.failures = 0
        if watched.failures == len(PAUSES):
            self._say(f"{watched.child.name} stopped by itself again ({_reason(code)}); giving up")
            return False
        pause = PAUSES[watched.failures]
        watched.failures += 1
        watched.start_again_at = now + pause
        self._say(f"{watched.child.name} stopped by itself ({_reason(code)}); starting it again in {pause:.0f} s")
        return True


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
