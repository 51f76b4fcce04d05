"""What the person sees: our own lines, and the children's with the name of the process in front."""

import sys
import threading

NAME_WIDTH = 7

_one_at_a_time = threading.Lock()


def say(text: str) -> None:
    """Print. Without a terminal we go on: the children would block if nobody read what they write."""
    with _one_at_a_time:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            pass


def say_for(name: str, line: str) -> None:
    if line:
        say(f"{name:<{NAME_WIDTH}} | {line}")
