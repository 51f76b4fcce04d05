"""Files on disk for what needs one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from media_store import validation
from media_store.validation import Format, ImageLimits, Picture

LIMITS = ImageLimits(pixels=25_000_000, frames=500)


@contextmanager
def on_disk(content: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


def inspect(content: bytes, limits: ImageLimits = LIMITS) -> tuple[Format, Picture]:
    """All that an upload goes through."""
    with on_disk(content) as file:
        kind, picture = validation.inspect(file, limits)
        validation.decode(file, kind, picture)
    return kind, picture


def cleaned(content: bytes) -> bytes:
    """What would be sent out."""
    with on_disk(content) as file, tempfile.TemporaryFile() as target:
        _, picture = validation.inspect(file, LIMITS)
        written = validation.write_without(file, picture.cuts, target)
        target.seek(0)
        result = target.read()
    assert written == len(result)
    return result
