"""Judges a file by its content: a whole image of one of four formats, within the limits, and nothing else.

Knows no Django. Needs a real file on disk, which is looked at through a memory map: never read whole.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from media_store.errors import NotAnImage
from media_store.validation import decoding, foreign, gif, jpeg, png, webp
from media_store.validation.picture import Cut, Data, ImageLimits, Picture

__all__ = ["CONTENT_TYPES", "Cut", "Format", "ImageLimits", "Picture", "decode", "inspect", "write_without"]

PIECE = 64 * 1024


@dataclass(frozen=True)
class Format:
    """`name` is Pillow's."""

    name: str
    content_type: str
    extension: str
    walk: Callable[[Data, ImageLimits], Picture]


JPEG = Format("JPEG", "image/jpeg", "jpg", jpeg.walk)
PNG = Format("PNG", "image/png", "png", png.walk)
GIF = Format("GIF", "image/gif", "gif", gif.walk)
WEBP = Format("WEBP", "image/webp", "webp", webp.walk)
CONTENT_TYPES: dict[str, Format] = {each.content_type: each for each in (JPEG, PNG, GIF, WEBP)}


def inspect(file: BinaryIO, limits: ImageLimits) -> tuple[Format, Picture]:
    """Reads the container to its end. Raises `NotAnImage` and `BadImage`; the pixels are `decode`'s to judge."""
    head = _head(file)
    kind = _format(head)
    if kind is None:
        raise NotAnImage
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        picture = kind.walk(data, limits)
        foreign.refuse(data)
    return kind, picture


def decode(file: BinaryIO, kind: Format, picture: Picture) -> None:
    """Raises `BadImage` for what cannot be shown."""
    decoding.decode(file, kind.name, picture)


def write_without(file: BinaryIO, cuts: list[Cut], target: BinaryIO) -> int:
    """Copies the file but for its cuts; returns how many bytes that are."""
    at = written = 0
    for cut in cuts:
        written += _copy(file, at, cut.start, target) + target.write(cut.instead)
        at = cut.end
    file.seek(0, 2)
    written += _copy(file, at, file.tell(), target)
    target.flush()
    return written


def _copy(file: BinaryIO, start: int, end: int, target: BinaryIO) -> int:
    file.seek(start)
    for left in range(end - start, 0, -PIECE):
        target.write(file.read(min(PIECE, left)))
    return end - start


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(12)


def _format(head: bytes) -> Format | None:
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(png.SIGNATURE):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    return None
