"""JPEG: segments up to the end of the image, and which of them are metadata (ISO 10918-1, Exif, CIPA DC-007)."""

import re
import struct
from dataclasses import dataclass, field

from media_store.validation import exif
from media_store.validation.picture import Container, Cut, Data, ImageLimits, Parts, check_end, damaged, read, truncated

# A marker between segments may be preceded by fill bytes; within a scan, FF 00 and the restart markers are data.
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

EOI, SOS, COM = 0xD9, 0xDA, 0xFE
APP0, APP1, APP2, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
MAX_SCANS = 64  # a progressive image has about ten; each costs the decoder a pass over the whole image

ICC, MULTI_PICTURE = b"ICC_PROFILE\x00", b"MPF\x00"
# Only the fixed part of these segments is kept. What could follow (such as a thumbnail) is not part of the image.
FIXED_PARTS = {(APP0, b"JFIF\x00"): 14, (APP14, b"Adobe"): 12}


@dataclass
class _Image:
    headers: int = 0
    scans: int = 0
    is_multi_picture: bool = False
    has_orientation: bool = False
    cuts: list[Cut] = field(default_factory=list)
    end: int = 0


def walk(data: Data, _limits: ImageLimits) -> Container:
    parts = Parts()
    image = _image(data, 0, parts)
    end = image.end
    cuts = image.cuts
    if image.is_multi_picture and end < len(data):
        # Phones append a depth or brightness map as a separate image. Its segments are validated too, and it is removed.
        cuts = [*cuts, Cut(end, len(data))]
        while data[end : end + 2] == b"\xff\xd8":
            end = _image(data, end, parts).end
    check_end(data, end)
    return Container(cuts=cuts)


def _image(data: Data, start: int, parts: Parts) -> _Image:
    image = _Image()
    at = start + 2
    while True:
        parts.another()
        found = _MARKER.match(data, at)
        if not found:
            if at + 1 >= len(data):
                truncated()
            damaged("A segment does not start where the previous one ends.")
        marker, segment, at = found[1][0], at, found.end()
        if marker == EOI:
            break
        if marker in WITHOUT_LENGTH:
            damaged("It has a marker at an invalid position.")
        [length] = struct.unpack(">H", read(data, at, 2))
        end = at + length
        if length < 2 or end > len(data):  # noqa: PLR2004 (the length counts itself)
            truncated() if end > len(data) else damaged("A segment has an impossible length.")
        image.headers += marker in FRAME_HEADERS
        if marker == SOS:
            end = _scan(image, data, end)
        elif marker == COM or APP0 <= marker <= APP15:
            _metadata(image, marker, segment, data[at + 2 : end], end)
        at = end
    if not image.scans or image.headers != 1:  # of two headers, Pillow would take the last and others the first
        damaged("It does not contain exactly one image.")
    image.end = at
    return image


def _scan(image: _Image, data: Data, start: int) -> int:
    """The end of its data."""
    image.scans += 1
    if image.scans > MAX_SCANS:
        damaged("It has too many scans.")
    found = _MARKER_IN_SCAN.search(data, start)
    if not found:
        truncated()
    return found.start()


def _metadata(image: _Image, marker: int, start: int, payload: bytes, end: int) -> None:
    for (kind, name), size in FIXED_PARTS.items():
        if marker == kind and payload.startswith(name) and len(payload) >= size:
            if len(payload) > size:
                image.cuts.append(Cut(start, end, _segment(marker, _fixed_part(kind, payload[:size]))))
            return
    if marker == APP2 and payload.startswith(ICC):
        return
    if marker == APP2 and payload.startswith(MULTI_PICTURE):
        image.is_multi_picture = True
    upright = b""
    if marker == APP1 and payload.startswith(exif.PREFIX) and not image.has_orientation:
        upright = exif.only_orientation(payload)
        image.has_orientation = True
        if upright and payload == exif.PREFIX + upright:
            return
    image.cuts.append(Cut(start, end, _segment(APP1, exif.PREFIX + upright) if upright else b""))


def _fixed_part(kind: int, payload: bytes) -> bytes:
    return payload[:-2] + b"\x00\x00" if kind == APP0 else payload  # a thumbnail of zero width and height


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
