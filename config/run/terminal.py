"""Output to the terminal: the supervisor's lines, and those of its processes after the process name."""

import sys
import threading

NAME_WIDTH = 7

_lock = threading.Lock()


def say(text: str) -> None:
    """Print a line. Ignores a closed terminal: reading must go on, or the child processes would block."""
    with _lock:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            pass


def say_for(name: str, line: str) -> None:
    if line:
        say(f"{name:<{NAME_WIDTH}} | {line}")
