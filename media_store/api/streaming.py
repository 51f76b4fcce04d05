"""A file as an answer, piece by piece under every kind of server."""

from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.http import FileResponse


class StreamedFile(FileResponse):
    """Under ASGI Django would read the whole file first, and warn of it."""

    block_size = 64 * 1024

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        read = sync_to_async(next, thread_sensitive=False)
        while piece := await read(pieces, b""):
            yield piece
