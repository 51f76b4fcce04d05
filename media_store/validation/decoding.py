"""Decodes the clean copy with Pillow, to validate it and to get its size."""

import struct
import threading
import zlib
from typing import BinaryIO

from PIL import Image

from media_store.errors import BadImage
from media_store.validation.picture import ImageLimits, damaged

# In bytes. An image that would take more is opened (its headers are read) but not decoded.
MEMORY = 48_000_000
# Bytes that decoding takes for each pixel, as measured (docs/decisions/0033-image-files.md).
WEBP_BYTES, GIF_BYTES = 18, 1
# libjpeg keeps all coefficients of a progressive image and processes them for each of its scans.
PROGRESSIVE_BYTES_PER_BAND = 2
# Decoding is the only step that holds an image in memory: one at a time in a process.
ONE_AT_A_TIME = threading.BoundedSemaphore()
# More pixels than MEDIA_MAX_PIXELS can allow (media_store.E003). The second is raised only where warnings are errors.
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_REFUSALS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode(file: BinaryIO, kind: str, limits: ImageLimits) -> tuple[int, int]:
    """Width and height in pixels. Raises `BadImage` unless Pillow reads the file as that format (Pillow's name).

    JPEG is decoded at an eighth of its size, which reads all of its data; for GIF and WebP the first frame is decoded. For PNG
    only the checksums are verified, because its rows have already been inflated and counted, in less memory.
    """
    file.seek(0)
    with ONE_AT_A_TIME:
        try:
            with Image.open(file, formats=[kind]) as image:
                size = image.size
                limits.check_size(*size)
                if kind == "PNG":
                    image.verify()
                elif size[0] * size[1] * _bytes_per_pixel(image) <= MEMORY:
                    image.draft("L", (1, 1))
                    image.load()
        except _BOMBS:
            raise BadImage("too_many_pixels", f"It has more than {limits.pixels:,} pixels.") from None
        except _REFUSALS:
            damaged("It cannot be decoded.")
    return size


def _bytes_per_pixel(image: Image.Image) -> int:
    """Zero for a JPEG of one scan, which is decoded row by row."""
    if image.format == "JPEG":
        return PROGRESSIVE_BYTES_PER_BAND * len(image.getbands()) if image.info.get("progressive") else 0
    return WEBP_BYTES if image.format == "WEBP" else GIF_BYTES
