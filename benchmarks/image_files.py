"""The input files of `clean_images`. Those named "largest" are at the limits: 25 million pixels, 5 MiB, 500 frames."""

import struct
import zlib
from collections.abc import Callable
from typing import Literal

from PIL import Image, ImageCms

from tests.media_store import pictures

SIDE = 5_000


def photo(width: int, height: int, mode: str = "RGB", shade: int = 0) -> Image.Image:
    """Soft areas with a little grain, which compress about as well as a photograph."""
    bands = [
        Image.effect_noise((width // 40 + 2, height // 40 + 2), 90).resize((width, height), Image.Resampling.BICUBIC)
        for _ in range(3)
    ]
    return Image.merge("RGB", [band.point(lambda value: (value + shade) % 256) for band in bands]).convert(mode)


def film(kind: str, frames: int, size: tuple[int, int], **options: object) -> bytes:
    """Each frame is a different photograph with its own duration."""
    shots = [photo(*size, shade=number) for number in range(min(frames, 3))]
    more = [shots[number % len(shots)] for number in range(1, frames)]
    durations = [40 + 10 * (number % 5) for number in range(frames)]
    return pictures.encoded(kind, shots[0], save_all=True, append_images=more, duration=durations, loop=3, **options)


def flat_film(kind: str, frames: int, size: tuple[int, int]) -> bytes:
    """Nearly empty frames: many pixels in few bytes."""
    shots = [Image.new("RGB", size, (number % 256, 0, 0)) for number in range(frames)]
    return pictures.encoded(kind, shots[0], save_all=True, append_images=shots[1:], duration=40, loop=0)


def deep_png(width: int, height: int, colour: int = 2) -> bytes:
    """16 bits for each channel, in which the lower 8 differ from the upper 8."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    row = b"\x00" + b"".join(struct.pack(">H", at % 64 * 1_000 + 77) for at in range(width * channels))
    packer = zlib.compressobj(6)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = [pictures.chunk(b"IHDR", header), pictures.chunk(b"IDAT", data), pictures.chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def disposing_gif() -> bytes:
    """A still image with a moving corner, a palette for each frame, and disposal to the background."""
    shots = [photo(200, 150, shade=number * 40).quantize(200) for number in range(6)]
    return pictures.encoded(
        "GIF", shots[0], save_all=True, append_images=shots[1:], duration=[40, 90, 200, 40, 60, 70], disposal=2
    )


def partial_gif() -> bytes:
    """Small frames, each with a palette, over an image that stays: more than 256 colours at once."""
    canvas = pictures.encoded("GIF", photo(200, 150).quantize(256))[:-1]
    frames = b""
    for number in range(4):
        small = pictures.encoded("GIF", photo(60, 50, shade=number * 60).quantize(256))
        palette, body = small[13 : 13 + 768], small[13 + 768 :]
        start = body.index(b"\x2c")
        control = b"\x21\xf9\x04\x04" + struct.pack("<H", 5 + number) + b"\x00\x00"
        place = struct.pack("<HHHHB", number * 30, number * 20, 60, 50, 0x87)
        frames += control + b"\x2c" + place + palette + body[start + 10 : -1]
    return b"GIF89a" + canvas[6:] + frames + b"\x3b"


def profile(name: Literal["LAB", "XYZ", "sRGB"] = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def with_gps(kind: str, image: Image.Image, **options: object) -> bytes:
    return pictures.encoded(kind, image, exif=pictures.gps(), **options)


def with_gamma() -> bytes:
    plain = with_gps("PNG", photo(400, 300))
    return plain[:33] + pictures.chunk(b"gAMA", struct.pack(">I", 30_000)) + plain[33:]


FILES: dict[str, Callable[[], bytes]] = {
    "JPEG largest": lambda: with_gps("JPEG", photo(SIDE, SIDE), quality=80),
    "JPEG largest, progressive": lambda: with_gps("JPEG", photo(SIDE, SIDE), quality=80, progressive=True),
    "JPEG 12 MP": lambda: with_gps("JPEG", photo(4_000, 3_000), quality=90),
    "JPEG with a profile": lambda: with_gps("JPEG", photo(400, 300), icc_profile=profile()),
    "JPEG CMYK": lambda: with_gps("JPEG", photo(400, 300, "CMYK")),
    "PNG largest, palette": lambda: with_gps("PNG", photo(SIDE, SIDE).quantize(16)),
    "PNG largest, 3 x 8 bits": lambda: with_gps("PNG", Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")),
    "PNG largest, 4 x 16 bits": lambda: deep_png(SIDE, SIDE, colour=6),
    "PNG 8 MP": lambda: with_gps("PNG", photo(3_840, 2_160).quantize(64).convert("RGB")),
    "PNG 3 x 16 bits": lambda: deep_png(400, 300),
    "PNG 1 x 16 bits": lambda: deep_png(400, 300, colour=0),
    "PNG with gamma": with_gamma,
    "APNG largest, 3 frames": lambda: flat_film("PNG", 3, (SIDE, SIDE)),
    "APNG 20 frames": lambda: film("PNG", 20, (300, 200)),
    "GIF largest": lambda: pictures.encoded("GIF", photo(SIDE, SIDE).quantize(8)),
    "GIF largest, 10 frames": lambda: flat_film("GIF", 10, (SIDE, SIDE)),
    "GIF 500 frames": lambda: flat_film("GIF", 500, (640, 480)),
    "GIF disposing": disposing_gif,
    "GIF partial frames": partial_gif,
    "WebP largest": lambda: with_gps("WEBP", photo(SIDE, SIDE), quality=50, method=0),
    "WebP largest, lossless": lambda: with_gps("WEBP", Image.new("RGB", (SIDE, SIDE), "red"), lossless=True, method=0),
    "WebP 12 MP": lambda: with_gps("WEBP", photo(4_000, 3_000), quality=80, method=0),
    "WebP 0.4 MP, lossless": lambda: with_gps("WEBP", photo(800, 500), lossless=True),
    "WebP 20 frames": lambda: film("WEBP", 20, (300, 200)),
    "WebP 500 frames": lambda: flat_film("WEBP", 500, (640, 480)),
}
