"""A request body that ends in an error beyond a number of bytes, whatever its Content-Length says."""

from typing import Protocol


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class BoundedStream:
    """Passes `read` on, and raises `error` once more than `limit` bytes have come."""

    def __init__(self, stream: Readable, limit: int, error: Exception) -> None:
        self._stream = stream
        self._left = limit
        self._error = error

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise self._error
        return data
