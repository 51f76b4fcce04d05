"""JPEG: segments up to the end of the image, and which of them are metadata (ISO 10918-1, Exif, CIPA DC-007)."""

import re
import struct
from dataclasses import dataclass, field

from media_store.validation import exif
from media_store.validation.picture import Container, Cut, Data, ImageLimits, Parts, damaged, read, tail, truncated

SIGNATURE = b"\xff\xd8\xff"
# Between segments decoders skip fill bytes, markers without a length, and whatever is no marker. The pattern has no
# repetition, so that a file of FF alone is searched once. Within a scan, FF 00 and the restart markers are data.
_MARKER = re.compile(rb"\xff[^\x00\xff\x01\xd0-\xd7]", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APP0, APP1, APP2, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
MAX_SCANS = 64  # a progressive image has about ten; each costs the decoder a pass over the whole image

ICC = b"ICC_PROFILE\x00"
# Only the fixed part of these segments is kept. What could follow (such as a thumbnail) is not part of the image.
FIXED_PARTS = {(APP0, b"JFIF\x00"): 14, (APP14, b"Adobe"): 12}


@dataclass
class _Image:
    headers: int = 0
    scans: int = 0
    has_orientation: bool = False
    cuts: list[Cut] = field(default_factory=list)


def walk(data: Data, _limits: ImageLimits) -> Container:
    parts = Parts()
    image = _Image()
    at = 2
    while True:
        parts.another()
        found = _MARKER.search(data, at)
        if not found:
            truncated()
        segment, marker = found.start(), found[0][1]
        if segment > at:
            image.cuts.append(Cut(at, segment))
        at = found.end()
        if marker == EOI:
            break
        if marker == SOI:
            damaged("It has a second start.")
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
    return Container(cuts=[*image.cuts, *tail(data, at)])


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
