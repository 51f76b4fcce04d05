"""A small thread pool for the blocking calls of an event loop. Its threads keep no database connection open."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


class Threads:
    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="live")

    async def run(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Return or raise what `function` does. The call is completed even when the awaiting task is canceled.

        It runs without the caller's context: Django keeps its caches there, and would connect to Redis for each request.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, _call, function, args, options)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def _call(function: Callable[..., T], args: tuple[Any, ...], options: dict[str, Any]) -> T:
    try:
        return function(*args, **options)
    finally:
        connections.close_all()  # with a pool, this returns the connection to it
