"""Where a process that waits does what blocks: in a few threads that keep no database connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


class Threads:
    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="live")

    async def run(self, act: Callable[..., T], *args: Any, **options: Any) -> T:
        """What `act` returns or raises. It is carried to its end even when whoever waits for it has gone.

        Without the caller's context: Django's caches live in it, and each request would connect to Redis anew.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, _and_let_go, act, args, options)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def _and_let_go(act: Callable[..., T], args: tuple[Any, ...], options: dict[str, Any]) -> T:
    try:
        return act(*args, **options)
    finally:
        connections.close_all()  # with a pool: gives it back
