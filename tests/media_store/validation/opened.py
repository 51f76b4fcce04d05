"""Temporary files for functions that need a file on disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from media_store import validation
from media_store.validation import ImageLimits, Picture

LIMITS = ImageLimits(pixels=25_000_000, frames=500)


@contextmanager
def on_disk(content: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


def validate(content: bytes, limits: ImageLimits = LIMITS) -> Picture:
    """Validate as an upload does."""
    with on_disk(content) as file, tempfile.TemporaryFile() as clean:
        return validation.validate(file, clean, limits)


def cleaned(content: bytes) -> bytes:
    """The clean copy."""
    with on_disk(content) as file, tempfile.TemporaryFile() as clean:
        size = validation.validate(file, clean, LIMITS).clean_size
        clean.seek(0)
        written = clean.read()
    assert len(written) == (size or 0)
    return content if size is None else written
