"""Pillow's word on what the walk has let through."""

import math
import struct
import threading
import zlib
from typing import BinaryIO

from PIL import Image

from media_store.validation.picture import Picture, damaged

# libwebp takes some sixteen bytes a pixel: what is larger is opened (its headers are read), and not decoded.
MAX_DECODED_PIXELS = 2_000_000
# libjpeg keeps all coefficients of a progressive picture, six bytes a pixel, and goes over them for each of its scans.
MAX_PROGRESSIVE_PIXELS = 8_000_000
# Decoding is the one step that holds a picture in memory: one at a time in a process.
_ONE_AT_A_TIME = threading.BoundedSemaphore()
_REFUSALS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode(file: BinaryIO, kind: str, picture: Picture) -> None:
    """Raises `BadImage` unless Pillow reads it as that format (Pillow's name) and size.

    JPEG is decoded at an eighth of its size, which reads all of its data; of animations the first frame is. The rows of a
    PNG have been inflated and counted by the walk: decoding them again would only take the memory, as would large GIF and WebP,
    and large JPEG where they are progressive.
    """
    file.seek(0)
    with _ONE_AT_A_TIME:
        try:
            with Image.open(file, formats=[kind]) as image:
                size = image.size
                if kind == "JPEG":
                    image.draft("L", (1, 1))
                if kind != "PNG" and size[0] * size[1] <= _most_pixels(kind, picture):
                    image.load()
        except _REFUSALS:
            damaged("It cannot be decoded.")
    if size != (picture.width, picture.height):
        damaged("The picture has not the size that it says.")


def _most_pixels(kind: str, picture: Picture) -> int | float:
    """What is decoded, in pixels."""
    if kind != "JPEG":
        return MAX_DECODED_PIXELS
    return MAX_PROGRESSIVE_PIXELS if picture.is_progressive else math.inf
