"""WebP: the chunks of its RIFF container (RFC 9649)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from media_store.validation import exif
from media_store.validation.picture import Cut, Data, ImageLimits, Parts, Picture, check_end, damaged, read, truncated

HAS_EXIF, HAS_XMP = 0x08, 0x04
OF_THE_PICTURE = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
PIXELS = frozenset({b"VP8 ", b"VP8L"})
FRAME_HEADER_BYTES = 16
START_CODE, LOSSLESS_SIGNATURE = b"\x9d\x01\x2a", 0x2F
MAX_EXIF_BYTES = 64 * 1024


@dataclass
class _Image:
    width: int = 0
    height: int = 0
    flags: int | None = None  # of an extended file
    flags_at: int = 0
    frames: int = 0
    pixels: int = 0
    stills: int = 0
    orientation: bytes = b""
    cuts: list[Cut] = field(default_factory=list)


def walk(data: Data, limits: ImageLimits) -> Picture:
    end = 8 + int.from_bytes(read(data, 4, 4), "little")
    if end > len(data):
        truncated()
    check_end(data, end)
    image = _Image()
    parts = Parts()
    for kind, start, body, body_end, chunk_end in _chunks(data, 12, end):
        parts.another()
        _chunk(image, data, kind, (start, body, body_end, chunk_end), limits)
    if image.stills + image.frames == 0 or (image.stills and image.stills + image.frames > 1):
        damaged("There is not one picture in it.")
    cuts = _with_headers(image, end) if image.cuts else []
    return Picture(image.width, image.height, frames=max(1, image.frames), cuts=cuts)


def _chunks(data: Data, at: int, end: int) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Name, start, start and end of the body, start of the next."""
    while at < end:
        kind, length = struct.unpack("<4sI", read(data, at, 8))
        after = at + 8 + length + (length & 1)
        if after > end:
            truncated()
        yield kind, at, at + 8, at + 8 + length, after
        at = after


def _chunk(image: _Image, data: Data, kind: bytes, place: tuple[int, int, int, int], limits: ImageLimits) -> None:
    start, body, body_end, chunk_end = place
    if not image.width and kind != b"VP8X" and kind not in PIXELS:
        damaged("It does not begin with a picture.")
    if kind == b"VP8X":
        _extended(image, read(data, body, 10), body, limits)
    elif kind in PIXELS:
        image.stills += 1
        _still(image, _size_of(kind, data[body : min(body_end, body + 10)]), limits)
    elif kind == b"ANMF":
        _frame(image, data, body, body_end, limits)
    elif kind not in OF_THE_PICTURE:
        if kind == b"EXIF" and not image.orientation:
            image.orientation = _only_orientation(data[body : min(body_end, body + MAX_EXIF_BYTES)])
        image.cuts.append(Cut(start, chunk_end))


def _extended(image: _Image, header: bytes, at: int, limits: ImageLimits) -> None:
    if image.width:
        damaged("It has two headers.")
    image.flags, image.flags_at = header[0], at
    image.width, image.height = (1 + int.from_bytes(header[i : i + 3], "little") for i in (4, 7))
    limits.check_size(image.width, image.height)


def _still(image: _Image, size: tuple[int, int], limits: ImageLimits) -> None:
    if not image.width:
        image.width, image.height = size
        limits.check_size(*size)
    elif size != (image.width, image.height):
        damaged("The picture has not the size that it says.")


def _frame(image: _Image, data: Data, start: int, end: int, limits: ImageLimits) -> None:
    header = read(data, start, FRAME_HEADER_BYTES)
    left, top, across, down = (int.from_bytes(header[i : i + 3], "little") for i in (0, 3, 6, 9))
    width, height = across + 1, down + 1
    if 2 * left + width > image.width or 2 * top + height > image.height:
        damaged("A frame is larger than the picture.")
    image.frames += 1
    image.pixels += width * height
    limits.check_frames(image.frames, image.pixels)
    sizes = [
        _size_of(kind, data[body : min(body_end, body + 10)])
        for kind, _, body, body_end, _ in _chunks(data, start + FRAME_HEADER_BYTES, end)
        if kind in PIXELS
    ]
    if sizes != [(width, height)]:
        damaged("A frame has not the size that it says.")


def _size_of(kind: bytes, head: bytes) -> tuple[int, int]:
    if len(head) < 10:  # noqa: PLR2004 (the header of both kinds, or the least that a picture takes)
        truncated()
    if kind == b"VP8 ":
        if head[0] & 1 or head[3:6] != START_CODE:
            damaged("Its picture has no beginning.")
        width, height = struct.unpack("<HH", head[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if head[0] != LOSSLESS_SIGNATURE:
        damaged("Its picture has no beginning.")
    bits = int.from_bytes(head[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _only_orientation(block: bytes) -> bytes:
    upright = exif.only_orientation(exif.orientation(block.removeprefix(b"Exif\x00\x00")))
    return b"EXIF" + struct.pack("<I", len(upright)) + upright if upright else b""


def _with_headers(image: _Image, end: int) -> list[Cut]:
    """The cuts, and the two places in front that speak of what is cut: the length of all, and what it has."""
    left = end - 8 - sum(cut.end - cut.start for cut in image.cuts) + len(image.orientation)
    cuts = [Cut(4, 8, struct.pack("<I", left))]
    if image.flags is not None:
        flags = image.flags & ~(HAS_EXIF | HAS_XMP) | (HAS_EXIF if image.orientation else 0)
        cuts.append(Cut(image.flags_at, image.flags_at + 1, bytes([flags])))
    *others, last = image.cuts
    return [*cuts, *others, Cut(last.start, last.end, image.orientation)]
