"""Processes of a benchmark: each ends with it, also at Ctrl-C, and its CPU time is read from /proc."""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.against import HERE
from config.run.child import Child
from config.run.commands import Command
from config.run.services import free_port

__all__ = ["cpu_of_processes", "cpu_of_sessions", "free_port", "running", "wait_until"]

START_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
SESSION, USER_TICKS, SYSTEM_TICKS = 3, 11, 12
"""Places in /proc/PID/stat behind the name."""


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    *,
    name: str = "",
    folder: Path = HERE,
    environment: Mapping[str, str] | None = None,
    port: int = 0,
    stop_seconds: float = 20.0,
) -> Iterator[Child]:
    """Return when it accepts connections on `port`, if one is given. SIGTERM at the end, SIGKILL if that is not enough."""
    lines: list[str] = []
    command = Command(name or argv[0], tuple(argv), stop_seconds)
    child = Child(command, environment or os.environ, folder, lambda _, line: lines.append(line))
    child.start()
    try:
        if port:
            _wait_for_port(child, port, lines)
        yield child
    finally:
        child.terminate()
        if not child.wait(stop_seconds):
            child.kill()


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, pause: float = 0.1) -> None:
    """Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


def cpu_of_sessions(leaders: Collection[int]) -> float:
    """CPU seconds of all living processes in the sessions that these processes lead (`Child` starts one each)."""
    return sum(_cpu(fields) for fields in _all_stats().values() if int(fields[SESSION]) in leaders)


def cpu_of_processes(pids: Collection[int]) -> dict[int, float]:
    """CPU seconds by process; those that have ended are left out."""
    stats = _all_stats()
    return {pid: _cpu(stats[pid]) for pid in pids if pid in stats}


def _cpu(fields: Sequence[str]) -> float:
    return (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) / TICKS


def _all_stats() -> dict[int, list[str]]:
    """The fields behind the name, by process."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(file.parent.name)] = file.read_text().rpartition(")")[2].split()
    return found


def _wait_for_port(child: Child, port: int, lines: Sequence[str]) -> None:
    def answers() -> bool:
        if (code := child.exit_code()) is not None:
            raise RuntimeError(f"{child.name} stopped by itself (exit code {code})\n" + "\n".join(lines[-30:]))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    wait_until(answers, seconds=START_SECONDS, what=f"{child.name} listens on port {port}", pause=0.05)
