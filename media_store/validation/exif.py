"""The one thing of EXIF that is part of the picture: which way is up."""

import struct

ORIENTATION = 0x0112
SHORT = 3
UPRIGHT = 1
_ENTRY_BYTES = 12
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}


def orientation(tiff: bytes) -> int:
    """1 to 8, as in EXIF; 1 also for what cannot be read."""
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 8:  # noqa: PLR2004 (the header of TIFF)
        return UPRIGHT
    [directory] = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return UPRIGHT
    [count] = struct.unpack_from(f"{order}H", tiff, directory)
    for at in range(directory + 2, directory + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        if at + _ENTRY_BYTES > len(tiff):
            break
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if tag == ORIENTATION and kind == SHORT:
            return value if 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004
    return UPRIGHT


def only_orientation(value: int) -> bytes:
    """A TIFF block that says nothing else; empty for a picture that is upright already."""
    if value == UPRIGHT:
        return b""
    header = struct.pack("<2sHI", b"II", 42, 8)
    return header + struct.pack("<HHHIHHI", 1, ORIENTATION, SHORT, 1, value, 0, 0)
