"""The only EXIF field that affects how the image is displayed: its orientation. Pillow reads and writes it."""

import struct

from PIL import Image
from PIL.ExifTags import Base

PREFIX = b"Exif\x00\x00"
TURNED = range(2, 9)  # 1 is upright
MAX_BYTES = 64 * 1024  # the largest segment of a JPEG
# Pillow warns of damage; the warning is raised only where warnings are errors.
_UNREADABLE = (UserWarning, OSError, SyntaxError, ValueError, IndexError, KeyError, TypeError, struct.error)


def only_orientation(block: bytes) -> bytes:
    """A TIFF block with only the orientation of `block`; empty if the image is upright or `block` is unreadable."""
    found = Image.Exif()
    try:
        found.load(PREFIX + block[:MAX_BYTES].removeprefix(PREFIX))
        value = found.get(Base.Orientation)
    except _UNREADABLE:
        return b""
    if isinstance(value, bytes) and len(value) == 1:  # written as BYTE; Pillow reads the other integer types as numbers
        value = value[0]
    if not isinstance(value, int) or value not in TURNED:
        return b""
    kept = Image.Exif()
    kept[Base.Orientation] = value
    return kept.tobytes().removeprefix(PREFIX)
