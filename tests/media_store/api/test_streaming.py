"""A file as an answer, piece by piece, under WSGI and ASGI."""

import asyncio
from pathlib import Path

import pytest

from media_store.api.streaming import StreamedFile

CONTENT = bytes(range(256)) * 1_000
# The end of an answer is the end of a request, at which Django looks after a connection that an earlier test has left open.
pytestmark = pytest.mark.django_db


def opened(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path.open("rb")


def test_under_wsgi(tmp_path: Path) -> None:
    file = opened(tmp_path)
    response = StreamedFile(file)

    pieces = list(response)
    response.close()

    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) == 64 * 1024
    assert file.closed


def test_under_asgi_it_is_not_read_at_once(tmp_path: Path) -> None:
    """Django's own answer would warn here, and a warning is an error."""
    file = opened(tmp_path)
    response = StreamedFile(file)

    async def read() -> tuple[bytes, int, list[bytes]]:
        pieces = aiter(response)
        first = await anext(pieces)
        return first, file.tell(), [piece async for piece in pieces]

    first, position, others = asyncio.run(read())
    response.close()

    assert position == len(first) == 64 * 1024
    assert first + b"".join(others) == CONTENT
    assert file.closed
