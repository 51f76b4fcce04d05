"""PNG: chunks up to the end; rows are inflated and counted, never kept (W3C PNG, third edition). Pillow verifies checksums."""

import struct
import zlib
from dataclasses import dataclass, field

from media_store.validation import exif
from media_store.validation.picture import (
    PIECE,
    Container,
    Cut,
    Data,
    ImageLimits,
    Parts,
    damaged,
    pieces,
    read,
    tail,
    truncated,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Column and row at which each pass of an interlaced image starts, and its steps.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

# Chunks that affect the display. All others (texts, times, EXIF, private chunks) are removed.
OF_THE_PICTURE = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"bKGD"}
    | {b"pHYs", b"acTL", b"fcTL", b"fdAT"}
)


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    bits: int
    is_interlaced: bool

    def bytes_of(self, width: int, height: int) -> int:
        """The bytes of all rows, including their filter bytes."""
        passes = ADAM7 if self.is_interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(width - left) // across), -(-(height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * self.bits + 7) // 8)
        return total


class _Rows:
    """Counts and discards the rows of one frame as they are inflated."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._stream = zlib.decompressobj()

    def feed(self, piece: bytes) -> None:
        while piece:
            if self._stream.eof:
                damaged("It has data after the last row.")
            try:
                self._left -= len(self._stream.decompress(piece, PIECE))
            except zlib.error:
                damaged("Its rows cannot be read.")
            if self._left < 0:
                damaged("It has more rows than its header says.")
            piece = self._stream.unconsumed_tail
        if self._stream.unused_data:
            damaged("It has data after the last row.")

    def finish(self) -> None:
        if self._left or not self._stream.eof:
            truncated()


@dataclass
class _Image:
    header: _Header
    limits: ImageLimits
    rows: _Rows
    row_bytes: int
    declared_frames: int = 0
    frames: int = 0
    pixels: int = 0
    has_data: bool = False
    cuts: list[Cut] = field(default_factory=list)

    def feed(self, data: Data, start: int, end: int) -> None:
        for piece in pieces(data, start, end):
            self.rows.feed(piece)


def walk(data: Data, limits: ImageLimits) -> Container:
    header = _header(data, limits)
    row_bytes = header.bytes_of(header.width, header.height)
    image = _Image(header, limits, _Rows(row_bytes), row_bytes=row_bytes)
    parts = Parts()
    at = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        parts.another()
        start = at
        length, kind = struct.unpack(">I4s", read(data, start, 8))
        at = start + 12 + length
        if at > len(data):
            truncated()
        _chunk(image, data, kind, start, at)
    image.rows.finish()
    if image.declared_frames != image.frames:
        damaged("It does not have as many frames as it says.")
    return Container(max(1, image.frames), [*image.cuts, *tail(data, at)])


def _header(data: Data, limits: ImageLimits) -> _Header:
    """The fields that determine the size of the rows; Pillow validates the rest."""
    width, height, depth, colour, interlace = struct.unpack(">IIBBxxB", read(data, len(SIGNATURE) + 8, 13))
    if colour not in CHANNELS:
        damaged("It has an unknown colour type.")
    limits.check_size(width, height)
    return _Header(width, height, depth * CHANNELS[colour], is_interlaced=bool(interlace))


def _chunk(image: _Image, data: Data, kind: bytes, start: int, end: int) -> None:
    body, body_end = start + 8, end - 4
    if kind == b"IDAT":
        image.has_data = True
        image.feed(data, body, body_end)
    elif kind == b"fdAT":
        image.feed(data, body + 4, body_end)
    elif kind == b"acTL":
        image.declared_frames = int.from_bytes(read(data, body, 4))
        image.limits.check_frames(image.declared_frames, 0)
    elif kind == b"fcTL":
        _frame(image, read(data, body, 20))
    elif (kind == b"IHDR") != (start == len(SIGNATURE)):
        damaged("It does not start with its only header.")
    elif kind not in OF_THE_PICTURE:
        if kind[:1].isupper():
            damaged("It has an unknown critical chunk.")
        image.cuts.append(Cut(start, end, _orientation(data, body, body_end) if kind == b"eXIf" else b""))


def _frame(image: _Image, control: bytes) -> None:
    width, height, left, top = struct.unpack(">IIII", control[4:])
    header = image.header
    if left + width > header.width or top + height > header.height:
        damaged("A frame is larger than the image.")
    image.frames += 1
    image.pixels += width * height
    image.limits.check_frames(image.frames, image.pixels)
    if image.has_data:  # the first frame may be the default image
        image.rows.finish()
        image.rows = _Rows(header.bytes_of(width, height))
        image.row_bytes += header.bytes_of(width, height)
        image.limits.check_rows(image.row_bytes)


def _orientation(data: Data, start: int, end: int) -> bytes:
    """An eXIf chunk with the orientation, or nothing."""
    upright = exif.only_orientation(data[start : min(end, start + exif.MAX_BYTES)])
    if not upright:
        return b""
    return struct.pack(">I4s", len(upright), b"eXIf") + upright + struct.pack(">I", zlib.crc32(b"eXIf" + upright))
