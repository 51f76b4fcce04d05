"""Work that needs the database, in threads: the event loop never waits for it."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from django.db import close_old_connections

from messaging.database_faults import drop_connection, may_pass

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


async def in_database(executor: Executor, function: Callable[[], Result]) -> Result:
    """Run the function in a thread of the executor. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(executor, _run, function)


def _run(function: Callable[[], Result]) -> Result:
    """The connection is handed back after each job; after a fault of the database it is replaced."""
    try:
        return function()
    except Exception as error:
        if may_pass(error):
            drop_connection()
        raise
    finally:
        close_old_connections()


def log_failure(task: "asyncio.Task[None] | Future[None]") -> None:
    """Log the failure of a task, or of a job in a thread, that is not awaited. Its done callback."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a task of the SMPP server failed (%s)", type(error).__name__)
