"""Threads for the database work of processes that run an event loop."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

from messaging.database_faults import drop_connection, may_pass

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

CLOSING_SECONDS = 5.0


class DatabaseThreads:
    """Runs jobs in `count` threads. Each thread keeps a database connection and replaces it after a fault."""

    def __init__(self, count: int, *, name: str) -> None:
        self._count = count
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, job: Callable[[], Result]) -> Result:
        """Run a job that is safe to repeat: it is repeated once after a database fault that may pass. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _run, job)

    def close(self) -> None:
        """Wait for the jobs that run, and close the connection of each thread."""
        together = threading.Barrier(self._count)
        for _ in range(self._count):
            self._executor.submit(_close_connection, together)
        self._executor.shutdown(wait=True)


def _close_connection(together: threading.Barrier) -> None:
    """`together` keeps each thread for itself until all have one of these jobs."""
    connection.close()
    with contextlib.suppress(threading.BrokenBarrierError):
        together.wait(CLOSING_SECONDS)


def _run(job: Callable[[], Result]) -> Result:
    connection.close_if_unusable_or_obsolete()
    try:
        return job()
    except Exception as error:
        if not may_pass(error):
            raise
        logger.warning("a database job failed (%s) and is repeated", type(error).__name__)
        drop_connection()
    try:
        return job()
    except Exception as error:
        if may_pass(error):
            drop_connection()
        raise
