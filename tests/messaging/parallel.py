"""Running things at the same moment, each in a thread with a database connection of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

TIMEOUT = 60


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call returned or, where it raised, the exception; all start together."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            start.wait(TIMEOUT)
            return call()
        except Exception as error:  # noqa: BLE001 (an exception is a result here)
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as executor:
        return list(executor.map(run, calls, timeout=TIMEOUT))
