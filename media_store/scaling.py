"""Make a smaller JPEG of an image, for providers with limits. Does not depend on Django (docs/decisions/0049-scaled-copies.md).

The copy is upright, in sRGB or in grey, and on white where the image was transparent. Of an animation it shows the first frame.
At most `PEAK_BYTES` of memory are taken; an image that needs more is refused before it is decoded.
"""

import io
import math
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageCms
from PIL.ExifTags import Base

from media_store.errors import CannotScale

CONTENT_TYPE = "image/jpeg"
# In pixels. Phones show no more of an MMS, and larger JPEGs are decoded at a half, a quarter or an eighth of their size.
MAX_SIDE = 2_048
PEAK_BYTES = 250_000_000
# What Pillow takes for each pixel while it decodes, as measured. JPEG, PNG and GIF take 10 at most, so 25 million of them fit.
WEBP_BYTES = 21
QUALITIES = (85, 70)
# The next size that is tried, at most this share of the last one.
LARGEST_STEP = 0.85
SMALLEST_SIDE = 16
STRIP_PIXELS = 1_000_000
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for damaged data; the warning is raised only where warnings are errors.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_UNREADABLE = (*_DAMAGED, UserWarning)


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits of a copy: bytes of the file, and pixels of the longer side. `name` is unique among profiles."""

    max_bytes: int | None = None
    max_side: int | None = None

    @property
    def name(self) -> str:
        limits = (f"{self.max_bytes}b" if self.max_bytes else "", f"{self.max_side}px" if self.max_side else "")
        return "-".join([*filter(None, limits), "jpeg"])


@dataclass(frozen=True, slots=True)
class Scaled:
    content: bytes
    width: int
    height: int


def scale(file: BinaryIO, profile: Profile) -> Scaled:
    """A JPEG of the image that fits the profile. Raises `CannotScale` with the reason.

    The caller has the only right to decode (`media_store.validation.decoding.ONE_AT_A_TIME`).
    """
    file.seek(0)
    side = min(profile.max_side or MAX_SIDE, MAX_SIDE)
    try:
        with Image.open(file, formats=["JPEG", "PNG", "GIF", "WEBP"]) as image:
            _refuse_too_large(image)
            image.draft(None, (side, side))  # for a JPEG; both sides stay at least as long as that
            orientation, colours = _orientation(image), image.info.get("icc_profile")
            image.load()
            small = _reduced(image, max(1, max(image.size) // side))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CannotScale("It has too many pixels.") from None
    except _DAMAGED:
        raise CannotScale("It cannot be decoded.") from None
    upright = _in_srgb(_within(small, side), colours)
    if orientation in _ORIENTATIONS:
        upright = upright.transpose(_ORIENTATIONS[orientation])
    return _fitting(upright, profile.max_bytes)


def _refuse_too_large(image: Image.Image) -> None:
    pixels = image.size[0] * image.size[1]
    if image.format == "WEBP" and pixels * WEBP_BYTES > PEAK_BYTES:
        raise CannotScale(f"A WebP image of more than {PEAK_BYTES // WEBP_BYTES:,} pixels cannot be made smaller.")


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, in any of the types in which programs write it."""
    try:
        value = image.getexif().get(Base.Orientation)
    except _UNREADABLE:
        return None
    return value if isinstance(value, int) else None


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """The image on white, `factor` times smaller. Made in strips: a second whole one would take too much memory."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width // factor) * factor
    first = _flat(image.crop((0, 0, width, min(rows, height))), factor)
    whole = Image.new(first.mode, (first.width, -(-height // factor)))
    whole.paste(first, (0, 0))
    for top in range(rows, height, rows):
        whole.paste(_flat(image.crop((0, top, width, min(top + rows, height))), factor), (0, top // factor))
    return whole


def _flat(strip: Image.Image, factor: int) -> Image.Image:
    """A strip in grey, RGB or CMYK, `factor` times smaller."""
    if strip.mode.startswith("I"):  # 16 bits of grey, of which Pillow would keep the lower eight
        strip = strip.convert("I").point(lambda value: value * (1 / 257)).convert("L")
        strip.info.pop("transparency", None)
    if strip.has_transparency_data:
        strip = strip.convert("RGBA").reduce(factor)
        white = Image.new("RGB", strip.size, "white")
        white.paste(strip, mask=strip.getchannel("A"))
        return white
    if strip.mode not in {"L", "RGB", "CMYK"}:
        strip = strip.convert("L" if strip.mode == "1" else "RGB")
    return strip.reduce(factor)


def _within(image: Image.Image, side: int) -> Image.Image:
    """The image, or a smaller one whose longer side has `side` pixels."""
    longer = max(image.size)
    if longer <= side:
        return image
    width, height = (max(1, round(length * side / longer)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours that the profile means. One that cannot be read, or is for another kind of image, counts as none."""
    if profile:
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return converted or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB") if image.mode == "CMYK" else image


def _fitting(image: Image.Image, max_bytes: int | None) -> Scaled:
    """Encode with less quality, and then with fewer pixels, until the file is small enough."""
    side = max(image.size)
    smallest = min(side, SMALLEST_SIDE)
    while side >= smallest:
        image = _within(image, side)
        share = 1.0
        for quality in QUALITIES:
            out = io.BytesIO()
            image.save(out, "JPEG", quality=quality)
            if max_bytes is None or out.tell() <= max_bytes:
                return Scaled(out.getvalue(), image.width, image.height)
            share = max_bytes / out.tell()
        side = int(side * min(LARGEST_STEP, math.sqrt(share)))
    raise CannotScale(f"It cannot be made as small as {max_bytes:,} bytes.")
