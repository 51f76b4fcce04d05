"""Validates an image file by its content and copies it without metadata.

The walks find the parts of the container, which of them are metadata, and the end of the image. Pillow validates the image
(docs/decisions/0033-image-files.md). Does not depend on Django. Needs a file on disk, which is read through a memory map.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from media_store.errors import NotAnImage
from media_store.validation import decoding, foreign, gif, jpeg, png, webp
from media_store.validation.picture import Container, Cut, Data, ImageLimits, pieces

__all__ = ["CONTENT_TYPES", "Format", "ImageLimits", "Picture", "validate"]


@dataclass(frozen=True)
class Format:
    """`name` is the name of the format in Pillow."""

    name: str
    content_type: str
    extension: str
    walk: Callable[[Data, ImageLimits], Container]


@dataclass(frozen=True)
class Picture:
    """`width` and `height` in pixels. `clean_size` is the size of the clean copy in bytes, None if the file had no metadata."""

    format: Format
    width: int
    height: int
    frames: int
    clean_size: int | None


JPEG = Format("JPEG", "image/jpeg", "jpg", jpeg.walk)
PNG = Format("PNG", "image/png", "png", png.walk)
GIF = Format("GIF", "image/gif", "gif", gif.walk)
WEBP = Format("WEBP", "image/webp", "webp", webp.walk)
CONTENT_TYPES: dict[str, Format] = {each.content_type: each for each in (JPEG, PNG, GIF, WEBP)}


def validate(file: BinaryIO, clean: BinaryIO, limits: ImageLimits) -> Picture:
    """Accepts one complete image of the four formats within the limits, and nothing else. Raises `NotAnImage` and `BadImage`.

    `clean` gets the copy without metadata; it stays empty if the file has none.
    """
    kind = _format(file)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = kind.walk(data, limits)
        foreign.refuse(data)
        clean_size = _write_without(data, found.cuts, clean) if found.cuts else None
    # Pillow gets the clean copy: that is what must be valid, and broken metadata in the original is no error.
    width, height = decoding.decode(clean if found.cuts else file, kind.name, limits)
    return Picture(kind, width, height, found.frames, clean_size)


def _write_without(data: Data, cuts: list[Cut], target: BinaryIO) -> int:
    """Copy all but the cuts; returns the number of bytes written."""
    at = written = 0
    for cut in (*cuts, Cut(len(data), len(data))):
        for piece in pieces(data, at, cut.start):
            written += target.write(piece)
        written += target.write(cut.instead)
        at = cut.end
    target.flush()
    return written


def _format(file: BinaryIO) -> Format:
    file.seek(0)
    head = file.read(12)
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(png.SIGNATURE):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    raise NotAnImage
