"""GIF: blocks up to the trailer (GIF89a specification)."""

import struct

from media_store.validation.picture import Container, Cut, Data, ImageLimits, Parts, damaged, read, tail, truncated

IMAGE, EXTENSION, TRAILER = 0x2C, 0x21, 0x3B
GRAPHIC_CONTROL, APPLICATION = 0xF9, 0xFF
LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")  # the only application blocks that affect the display


def walk(data: Data, limits: ImageLimits) -> Container:
    width, height, flags = struct.unpack("<HHB", read(data, 6, 5))
    at = 13 + _palette_bytes(flags)
    parts = Parts()
    cuts: list[Cut] = []
    frames = pixels = 0
    while (kind := read(data, at, 1)[0]) != TRAILER:
        parts.another()
        start = at
        if kind == IMAGE:
            at, area = _image(data, start, width, height)
            frames, pixels = frames + 1, pixels + area
            limits.check_frames(frames, pixels)
        elif kind == EXTENSION:
            at = _blocks_end(data, start + 2)
            if not _affects_display(data, start):
                cuts.append(Cut(start, at))
        else:
            damaged("It has a block of an unknown kind.")
    if not frames:
        damaged("It contains no image.")
    return Container(frames, [*cuts, *tail(data, at + 1)])


def _image(data: Data, start: int, width: int, height: int) -> tuple[int, int]:
    """Its end and its area in pixels."""
    left, top, across, down, flags = struct.unpack("<HHHHB", read(data, start + 1, 9))
    if left + across > width or top + down > height:
        damaged("A frame is larger than the image.")
    return _blocks_end(data, start + 10 + _palette_bytes(flags) + 1), across * down


def _palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: Data, at: int) -> int:
    """The end of a chain of blocks, each preceded by its length; a block of length zero ends it."""
    size = len(data)
    while at < size and (length := data[at]):
        at += length + 1
    if at >= size:
        truncated()
    return at + 1


def _affects_display(data: Data, start: int) -> bool:
    label = data[start + 1]
    return label == GRAPHIC_CONTROL or (label == APPLICATION and data[start + 3 : start + 14] in LOOPS)
