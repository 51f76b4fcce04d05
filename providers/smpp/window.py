"""The window of a session: how many requests may be unanswered at a time."""

import asyncio
from collections import deque
from collections.abc import Callable


class RequestWindow:
    """`size` places, given to those that wait in their order, while `can_write` returns True."""

    def __init__(self, size: int, *, can_write: Callable[[], bool]) -> None:
        self._size = size
        self._can_write = can_write
        self._used = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def used(self) -> int:
        return self._used

    @property
    def has_room(self) -> bool:
        """A place would be given at once."""
        return self._can_write() and self._used < self._size

    async def acquire(self, wait: float) -> bool:
        """Take a place within `wait` seconds. Returns False if there was none, or if `dismiss` was called meanwhile."""
        if self.has_room and not self._waiting:
            self._used += 1
            return True
        if wait <= 0 or not self._can_write():
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await asyncio.wait_for(asyncio.shield(turn), wait)
        except (TimeoutError, asyncio.CancelledError) as ended:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.result() and isinstance(ended, TimeoutError):
                return True  # given in the very last moment
            elif turn.result():
                self.release()
            if isinstance(ended, TimeoutError):
                return False
            raise

    def release(self) -> None:
        self._used -= 1
        self.admit()

    def admit(self) -> None:
        """Give free places to those that wait. Call it when `can_write` may have become true."""
        while self._waiting and self.has_room:
            self._used += 1
            self._waiting.popleft().set_result(True)

    def dismiss(self) -> None:
        """Let nobody wait any longer: there will be no more places."""
        while self._waiting:
            self._waiting.popleft().set_result(False)
