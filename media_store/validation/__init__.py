"""Validates an image file by its content and makes the copy that goes out: without metadata, and of a type that phones show.

For JPEG, PNG, GIF and WebP the walks find the parts of the container, which of them are metadata, and the end of the image;
Pillow validates the image (docs/decisions/0033-image-files.md). HEIC and AVIF become JPEG
(docs/decisions/0048-phone-pictures.md). Does not depend on Django. Needs a file on disk, which is read through a memory map.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from media_store.errors import NotAnImage
from media_store.validation import conversion, decoding, foreign, gif, isobmff, jpeg, png, recognition, webp
from media_store.validation.picture import Container, Cut, Data, ImageLimits, damaged, pieces

__all__ = ["CONTENT_TYPES", "Format", "ImageLimits", "Picture", "validate"]


@dataclass(frozen=True)
class Format:
    """`name` is the name of the format in Pillow. A format without `walk` is converted to JPEG."""

    name: str
    content_type: str
    extension: str
    walk: Callable[[Data, ImageLimits], Container] | None = None


@dataclass(frozen=True)
class Picture:
    """`width` and `height` in pixels, of the copy that goes out, before an orientation that it keeps is applied.

    `clean_size` is the size of that copy in bytes, None if the file goes out as it is; `clean_content_type` is its type where
    that is another one than the file's, otherwise empty.
    """

    format: Format
    width: int
    height: int
    frames: int
    clean_size: int | None
    clean_content_type: str = ""


JPEG = Format("JPEG", "image/jpeg", "jpg", jpeg.walk)
PNG = Format("PNG", "image/png", "png", png.walk)
GIF = Format("GIF", "image/gif", "gif", gif.walk)
WEBP = Format("WEBP", "image/webp", "webp", webp.walk)
HEIC = Format("HEIF", "image/heic", "heic")
AVIF = Format("AVIF", "image/avif", "avif")
CONTENT_TYPES: dict[str, Format] = {each.content_type: each for each in (JPEG, PNG, GIF, WEBP, HEIC, AVIF)}


def validate(file: BinaryIO, clean: BinaryIO, limits: ImageLimits) -> Picture:
    """Accepts one complete image of the six formats within the limits. Raises `NotAnImage` and `BadImage`.

    `clean` gets the copy that goes out if it differs from the file: without metadata and without what stands behind the end of
    the image, or as JPEG. It stays empty otherwise.
    """
    kind = _format(file)
    if kind.walk is None:
        return _converted(file, clean, kind, limits)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = kind.walk(data, limits)
        clean_size = _write_without(data, found.cuts, clean) if found.cuts else None
    # What follows looks at the copy: that is what must be valid, and what was cut out of the original is no error.
    copy = clean if found.cuts else file
    _refuse_foreign(copy)
    width, height = decoding.decode(copy, kind.name, limits)
    return Picture(kind, width, height, found.frames, clean_size)


def _converted(file: BinaryIO, clean: BinaryIO, kind: Format, limits: ImageLimits) -> Picture:
    with decoding.ONE_AT_A_TIME:
        conversion.to_jpeg(file, clean, kind=kind.extension.upper(), limits=limits)
    # The program that converts reads files of strangers, so its result is checked like one.
    with mmap.mmap(clean.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not data[:3].startswith(jpeg.SIGNATURE) or jpeg.walk(data, limits).cuts:
            damaged("It cannot be decoded.")
        clean_size = len(data)
    _refuse_foreign(clean)
    width, height = decoding.decode(clean, JPEG.name, limits)
    return Picture(kind, width, height, 1, clean_size, JPEG.content_type)


def _refuse_foreign(copy: BinaryIO) -> None:
    with mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) as data:
        foreign.refuse(data)


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
    head = file.read(recognition.HEAD)
    if head.startswith(jpeg.SIGNATURE):
        return JPEG
    if head.startswith(png.SIGNATURE):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    codec = isobmff.codec(head)
    if codec is not None:
        return HEIC if codec == "HEVC" else AVIF
    raise NotAnImage(recognition.described(head))
