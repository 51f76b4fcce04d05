"""Decodes one HEIC or AVIF and writes it as JPEG: python -m media_store.validation.jpeg_program KIND SOURCE TARGET PIXELS

SOURCE and TARGET are open file descriptors, whose positions are left alone because the parent shares them. Started by
`conversion` only, because it limits its own memory and CPU time.
Exits with 1 and prints code and detail of a `BadImage` as JSON if the file cannot be converted.
"""

import json
import mmap
import os
import re
import resource
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pillow_heif
from PIL import AvifImagePlugin, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base

from media_store.errors import BadImage
from media_store.validation.picture import ImageLimits, damaged

# Of memory for each allowed pixel, as measured (docs/decisions/0048-phone-pictures.md), and for stacks and tables.
BYTES_PER_PIXEL, OTHER_BYTES = 10, 8_000_000
LEAST_PIXELS = 5_000_000  # where fewer are allowed, memory is limited as for so many
CPU_SECONDS = 20  # a picture of 25 megapixels takes three at most
FILE_BYTES_PER_PIXEL = 4
QUALITY = 85
ROWS = 256  # copied at a time
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PROFILE_SPACES = {"RGB": b"RGB ", "L": b"GRAY"}


class _Avif(AvifImageFile):
    """Releases the decoder's copy of the picture before Pillow makes its own: a sixth less memory."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


def main(kind: str, source: str, target: str, pixels: str) -> int:
    limits = ImageLimits(pixels=int(pixels), frames=1)
    _limit_resources(max(limits.pixels, LEAST_PIXELS))
    try:
        picture, profile = (_heic if kind == "HEIC" else _avif)(_content(int(source)), limits)
        _write(int(target), picture, profile)
    except BadImage as error:
        return _refused(error.field_code, error.detail)
    except Exception as error:  # noqa: BLE001 (decoders raise anything; all of it is about this one file)
        if isinstance(error, MemoryError) or "emory" in str(error):
            return _refused(
                "too_many_pixels", "The picture takes too much memory to be converted. Make it smaller first."
            )
        return 1
    return 0


def _limit_resources(pixels: int) -> None:
    """The limit of data counts what the process may write to, not its code; macOS knows it and does not enforce it."""
    with suppress(FileNotFoundError):
        status = Path("/proc/self/status").read_text()
        found = re.search(r"VmData:\s+(\d+) kB", status)
        taken = int(found[1]) * 1024 if found else 0
        _limit(resource.RLIMIT_DATA, taken + pixels * BYTES_PER_PIXEL + OTHER_BYTES)
    # Room, because the signal of the hard limit is the one that a kernel without memory sends.
    _limit(resource.RLIMIT_CPU, CPU_SECONDS, room=1)
    _limit(resource.RLIMIT_FSIZE, pixels * FILE_BYTES_PER_PIXEL)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, value: int, *, room: int = 0) -> None:
    """An administrator's smaller limit stays. `room` is what the hard limit is above `value`."""
    most = resource.getrlimit(kind)[1]
    if most == resource.RLIM_INFINITY or value + room < most:
        resource.setrlimit(kind, (value, value + room))


def _content(source: int) -> BytesIO:
    with mmap.mmap(source, 0, access=mmap.ACCESS_READ) as data:
        return BytesIO(data)


def _write(target: int, picture: Image.Image, profile: bytes) -> None:
    out = BytesIO()
    fits = profile[16:20] == PROFILE_SPACES[picture.mode]
    picture.save(out, "JPEG", quality=QUALITY, icc_profile=profile if fits else None)
    content, at = out.getbuffer(), 0
    while at < len(content):
        at += os.pwrite(target, content[at:], at)


def _heic(file: BytesIO, limits: ImageLimits) -> tuple[Image.Image, bytes]:
    """The primary picture, turned as the file says, and its profile. EXIF does not turn it: the decoder has."""
    options = pillow_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    found = pillow_heif.open_heif(file, convert_hdr_to_8bit=True, remove_stride=False)
    if not len(found):
        damaged("It contains no picture.")
    limits.check_size(*found.size)
    data, stride = memoryview(found.data), found.stride
    limits.check_size(*found.size)  # decoding may correct the size
    width, height = found.size
    picture = Image.new("L" if found.mode == "L" else "RGB", (width, height), "white")
    for top in range(0, height, ROWS):
        rows = min(ROWS, height - top)
        piece = bytes(data[top * stride : (top + rows) * stride])
        _paste(picture, Image.frombytes(found.mode, (width, rows), piece, "raw", found.mode, stride, 1), top)
    return picture, found.info.get("icc_profile") or b""


def _avif(file: BytesIO, limits: ImageLimits) -> tuple[Image.Image, bytes]:
    """The first picture, turned as the file says, and its profile. Pillow tells the turn as EXIF, and corrects that of EXIF."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    found: Image.Image = _Avif(file)
    limits.check_size(*found.size)
    profile = found.info.get("icc_profile") or b""
    turn = TURNS.get(found.getexif().get(Base.Orientation, 1))
    found.load()
    if found.mode not in PROFILE_SPACES:
        opaque = Image.new("RGB", found.size, "white")
        _paste(opaque, found, 0)
        found = opaque
    return found.transpose(turn) if turn is not None else found, profile


def _paste(picture: Image.Image, piece: Image.Image, top: int) -> None:
    """Transparent pixels let the white of `picture` through."""
    if piece.mode == picture.mode:
        picture.paste(piece, (0, top))
        return
    shown = piece if piece.mode == "RGBA" else piece.convert("RGBA")
    picture.paste(shown, (0, top), shown)


def _refused(code: str, detail: str) -> int:
    json.dump([code, detail], sys.stdout)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
