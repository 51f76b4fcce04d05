"""Generated images: valid ones by Pillow, and the parts from which invalid ones are assembled."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pillow_heif
from PIL import ExifTags, Image, PngImagePlugin

COMMENT = "a private remark"
XMP = b"<x:xmpmeta>GPS somewhere</x:xmpmeta>"
CAMERA = "SecretCam 3000"


def picture(width: int = 40, height: int = 30, mode: str = "RGB", shade: int = 0) -> Image.Image:
    """A gradient, so that changed pixels are visible; each `shade` gives different content."""
    ramp = Image.linear_gradient("L").resize((width, height)).point(lambda value: (value + shade) % 256)
    return Image.merge("RGB", (ramp, ramp.rotate(180), ramp)).convert(mode)


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    out = io.BytesIO()
    (image or picture()).save(out, kind, **options)
    return out.getvalue()


def animation(kind: str, frames: int, size: tuple[int, int] = (8, 8)) -> bytes:
    shades = [picture(*size, shade=number * 7 % 256) for number in range(frames)]
    return encoded(kind, shades[0], save_all=True, append_images=shades[1:], duration=40, loop=0)


def gps(orientation: int | None = None) -> Image.Exif:
    """EXIF as written by a phone: position, device and orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = CAMERA
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return exif


def with_metadata(kind: str, orientation: int | None = None) -> bytes:
    """An image with every kind of metadata: position, device, comments, profile."""
    options: dict = {"exif": gps(orientation)}
    if kind == "JPEG":
        options |= {"comment": COMMENT, "xmp": XMP}
    elif kind == "WEBP":
        options |= {"xmp": XMP}
    elif kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", COMMENT)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options |= {"pnginfo": texts}
    elif kind == "GIF":
        options = {"comment": COMMENT}
    return encoded(kind, **options)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, rows: bytes, *between: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG with these header values; `rows` are uncompressed."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(between) + data + chunk(b"IEND")


def segment(marker: int, body: bytes) -> bytes:
    """Of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(*segments: bytes) -> bytes:
    """A JPEG with these segments at the start."""
    plain = encoded("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def gif(frames: int, size: tuple[int, int] = (1, 1), frame: tuple[int, int] = (1, 1)) -> bytes:
    """A minimal GIF: 10,000 frames are 150 kB. A larger frame lacks most of its pixel data but is still parsed."""
    canvas = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    one = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    return canvas + one * frames + b"\x3b"


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def archive(name: str = "a.txt") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, "hello")
    return out.getvalue()


def box(kind: bytes, *body: bytes) -> bytes:
    """Of a HEIC, an AVIF or a video."""
    content = b"".join(body)
    return struct.pack(">I", 8 + len(content)) + kind + content


def heic(image: Image.Image | None = None, **options) -> bytes:
    """As a phone writes it, with an orientation that the decoder applies if `exif` has one."""
    out = io.BytesIO()
    pillow_heif.from_pillow(image or picture()).save(out, **options)
    return out.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "image/jpeg": lambda: encoded("JPEG"),
    "image/png": lambda: encoded("PNG"),
    "image/gif": lambda: encoded("GIF"),
    "image/webp": lambda: encoded("WEBP"),
    "image/heic": heic,
    "image/avif": lambda: encoded("AVIF"),
}
