"""The boxes of HEIC and AVIF files, as far as they tell what the file is and whether it is whole (ISO 14496-12)."""

import struct
from typing import Literal

from media_store.validation.picture import Data, truncated

HEAD = 512  # bytes in which the first box ends; it lists the brands
HEVC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AV1 = frozenset({b"avif", b"avis"})
# Brands of both: the compatible brands tell the codec.
CONTAINERS = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf"})
# The boxes at the top of a picture's file. Whatever else follows, such as a phone's trailer, is not part of it.
PARTS = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid", b"idat"})
BOX, LARGE_BOX = 8, 16


def brands(head: bytes) -> tuple[bytes, list[bytes]]:
    """The major brand and the compatible ones; empty unless the file starts with a box of brands."""
    if len(head) < LARGE_BOX or head[4:8] != b"ftyp":
        return b"", []
    end = min(int.from_bytes(head[:4]), len(head))
    return head[8:12], [head[at : at + 4] for at in range(16, end - 3, 4)]


def codec(head: bytes) -> Literal["HEVC", "AV1"] | None:
    """The codec of a picture that starts with `head`; None for other files, such as videos."""
    major, compatible = brands(head)
    if major in HEVC or major in AV1:
        return "HEVC" if major in HEVC else "AV1"
    if major not in CONTAINERS:
        return None
    return "AV1" if AV1.intersection(compatible) and not HEVC.intersection(compatible) else "HEVC"


def check_whole(data: Data) -> None:
    """Raises `BadImage` if the file ends within one of its boxes."""
    at = 0
    while at + BOX <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + BOX])
        if kind not in PARTS or size == 0:  # zero: up to the end of the file
            return
        if size == 1:
            size = int.from_bytes(data[at + BOX : at + LARGE_BOX])
        if size < BOX or at + size > len(data):
            truncated()
        at += size
