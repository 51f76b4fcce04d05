"""WebP: the chunks of its RIFF container (RFC 9649). libwebp validates the image data."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from media_store.validation import exif
from media_store.validation.picture import Container, Cut, Data, ImageLimits, Parts, damaged, read, tail, truncated

HAS_EXIF, HAS_XMP = 0x08, 0x04
OF_THE_PICTURE = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
PIXELS = frozenset({b"VP8 ", b"VP8L"})
FRAME_HEADER_BYTES, PIXELS_HEADER_BYTES = 16, 10


class _Chunk(NamedTuple):
    """Name, start, start and end of the body, and start of the next chunk."""

    kind: bytes
    start: int
    body: int
    body_end: int
    end: int


@dataclass
class _Image:
    flags: Cut | None = None  # of an extended file, without the metadata flags
    stills: int = 0
    frames: int = 0
    pixels: int = 0
    orientation: bytes = b""
    cuts: list[Cut] = field(default_factory=list)


def walk(data: Data, limits: ImageLimits) -> Container:
    end = 8 + int.from_bytes(read(data, 4, 4), "little")
    if end > len(data):
        truncated()
    image = _Image()
    parts = Parts()
    for chunk in _chunks(data, 12, end):
        parts.another()
        _read_chunk(chunk, image, data, limits)
    if image.stills + bool(image.frames) != 1:
        damaged("It does not contain exactly one image.")
    cuts = _with_headers(image, end) if image.cuts else []
    return Container(max(1, image.frames), [*cuts, *tail(data, end)])


def _chunks(data: Data, at: int, end: int) -> Iterator[_Chunk]:
    while at < end:
        kind, length = struct.unpack("<4sI", read(data, at, 8))
        after = at + 8 + length + (length & 1)
        if after > end:
            truncated()
        yield _Chunk(kind, at, at + 8, at + 8 + length, after)
        at = after


def _read_chunk(chunk: _Chunk, image: _Image, data: Data, limits: ImageLimits) -> None:
    if chunk.kind == b"VP8X" and image.flags is None:
        [flags] = read(data, chunk.body, 1)
        image.flags = Cut(chunk.body, chunk.body + 1, bytes([flags & ~(HAS_EXIF | HAS_XMP)]))
    elif chunk.kind in PIXELS:
        image.stills += 1
    elif chunk.kind == b"ANMF":
        image.frames += 1
        image.pixels += _area(data, chunk)
        limits.check_frames(image.frames, image.pixels)
    elif chunk.kind not in OF_THE_PICTURE:
        if chunk.kind == b"EXIF" and not image.orientation:
            image.orientation = _only_orientation(data[chunk.body : min(chunk.body_end, chunk.body + exif.MAX_BYTES)])
        image.cuts.append(Cut(chunk.start, chunk.end))


def _area(data: Data, frame: _Chunk) -> int:
    """Area in pixels, from the image data. libwebp ignores the size in the frame header, and Pillow reports neither."""
    area = 0
    for chunk in _chunks(data, frame.body + FRAME_HEADER_BYTES, frame.body_end):
        if chunk.kind in PIXELS:
            head = read(data, chunk.body, PIXELS_HEADER_BYTES)
            if chunk.kind == b"VP8 ":
                width, height = (side & 0x3FFF for side in struct.unpack("<HH", head[6:]))
            else:
                bits = int.from_bytes(head[1:5], "little")
                width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            area += width * height
    return area


def _only_orientation(block: bytes) -> bytes:
    upright = exif.only_orientation(block)
    return b"EXIF" + struct.pack("<I", len(upright)) + upright if upright else b""


def _with_headers(image: _Image, end: int) -> list[Cut]:
    """The cuts, plus corrections of the two header fields that depend on them: the total length and the flags."""
    left = end - 8 - sum(cut.end - cut.start for cut in image.cuts) + len(image.orientation)
    cuts = [Cut(4, 8, struct.pack("<I", left))]
    if image.flags is not None:
        [flags] = image.flags.instead
        has_exif = HAS_EXIF if image.orientation else 0
        cuts.append(Cut(image.flags.start, image.flags.end, bytes([flags | has_exif])))
    *others, last = image.cuts
    return [*cuts, *others, Cut(last.start, last.end, image.orientation)]
