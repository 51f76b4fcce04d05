"""Generated files as phones and programs write them, each with its right outcome. Does not depend on Django.

No real photo is in here: the trailers have the layout of those of phones, and neutral content.
"""

import base64
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pillow_heif
from PIL import ExifTags, Image

from tests.media_store import pictures
from tests.media_store.pictures import animation, box, encoded, heic, jpeg_with, picture, segment

JPEG, PNG, GIF, WEBP = (encoded(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP"))
APP1, APP2, SOS = 0xE1, 0xE2, 0xDA
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
# The corners as `corners` paints them, clockwise from the top left.
PAINTED = (RED, GREEN, YELLOW, BLUE)
# The corners of `corners` with 10 bits a channel, 4:4:4, written by libavif 1.3 (imagecodecs 2026.3.6); Pillow writes 8 bits.
AVIF_10_BIT = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0"
    "bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAOwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBy"
    "cAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAKAAAAB4AAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAGgAAAABdpcG1h"
    "AAAAAAAAAAEAAQQBAoMEAAAAQ21kYXQSAAoJOBUn63gQEDSAMixE8JjJoAA8AAAE8SgM2HpHuOpIfY5akHkUMByAfM+IaMEk1VardSVpREHIlA=="
)


@dataclass(frozen=True)
class Taken:
    """`sent` is the copy that must go out, where that can be told byte by byte; otherwise `corners` says what it shows."""

    make: Callable[[], bytes]
    content_type: str
    sent: bytes | None = None
    corners: tuple[tuple[int, int, int], ...] = ()
    size: tuple[int, int] = (40, 30)
    frames: int = 1


def corners(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Four fields, so that a turned picture or a wrong colour is seen."""
    width, height = size
    image = Image.new("RGB", size, YELLOW)
    for colour, place in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        image.paste(colour, (*place, place[0] + width // 2, place[1] + height // 2))
    return image.convert(mode)


def see_through(image: Image.Image) -> Image.Image:
    """Its right half is transparent."""
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (image.width // 2, 0, *image.size))
    image = image.convert("RGBA")
    image.putalpha(alpha)
    return image


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def video(size: int = 20_000) -> bytes:
    return (
        box(b"ftyp", b"mp42", bytes(4), b"isommp42")
        + box(b"moov", box(b"mvhd", bytes(100)))
        + box(b"mdat", bytes(size))
    )


def samsung_trailer(*entries: tuple[int, bytes, bytes]) -> bytes:
    """Blocks and the directory that ends in SEFT, as phones of Samsung append them: (type, name, content)."""
    blocks = [struct.pack("<HHI", 0, kind, len(name)) + name + content for kind, name, content in entries]
    rows, at = b"", sum(map(len, blocks))
    for (kind, _, _), block in zip(entries, blocks, strict=True):
        rows += struct.pack("<HHII", 0, kind, at, len(block))
        at -= len(block)
    directory = b"SEFH" + struct.pack("<II", 103, len(entries)) + rows
    return b"".join(blocks) + directory + struct.pack("<I", len(directory)) + b"SEFT"


def multi_picture(second: bytes) -> bytes:
    """With the segment that announces a second picture, and the second picture behind the end."""
    entries = b"MPF\x00II*\x00\x08\x00\x00\x00\x00\x00" + bytes(40)
    return jpeg_with(segment(APP2, entries)) + second


def oriented(kind: int, value: int, order: str) -> bytes:
    """EXIF whose orientation is a LONG, a BYTE or another integer type, in one of the byte orders."""
    layout = {1: "Bxxx", 3: "Hxx", 4: "I", 6: "bxxx", 8: "hxx", 9: "i"}[kind]
    mark = {"<": b"II*\x00", ">": b"MM\x00*"}[order]
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + struct.pack(f"{order}{layout}", value)
    return b"Exif\x00\x00" + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def with_orientation(kind: int, value: int, order: str) -> bytes:
    camera = segment(0xFE, b"a camera")
    return jpeg_with(segment(APP1, oriented(kind, value, order)), camera)


def sent_orientation(value: int) -> bytes:
    return jpeg_with(segment(APP1, turned(value).tobytes()))


def before(marker: int, garbage: bytes, content: bytes = JPEG) -> bytes:
    """Garbage in front of the first segment of that kind."""
    at = content.index(bytes([0xFF, marker]))
    return content[:at] + garbage + content[at:]


def between_all(garbage: bytes) -> bytes:
    """Garbage in front of every segment of a JPEG from the second to its scan."""
    out, at = JPEG[:20], 20
    while JPEG[at + 1] != SOS:
        end = at + 2 + int.from_bytes(JPEG[at + 2 : at + 4])
        out, at = out + garbage + JPEG[at:end], end
    return out + garbage + JPEG[at:]


def heic_10_bit(mode: str = "RGB;16") -> bytes:
    image = corners()
    wide = bytearray(2 * 3 * image.width * image.height)
    wide[1::2] = wide[0::2] = image.tobytes()
    out = io.BytesIO()
    pillow_heif.from_bytes(mode, image.size, bytes(wide)).save(out, chroma=444, quality=95)
    return out.getvalue()


def heic_burst(primary: int) -> bytes:
    """Three pictures, of which one is the primary one."""
    plain = [Image.new("RGB", (40, 30), "grey") for _ in range(3)]
    plain[primary] = corners()
    file, out = pillow_heif.HeifFile(), io.BytesIO()
    for each in plain:
        file.add_from_pillow(each)
    file.save(out, primary_index=primary, chroma=444, quality=95)
    return out.getvalue()


def _heic(image: Image.Image | None = None, **options) -> bytes:
    return heic(image or corners(), chroma=444, quality=95, **options)


def _avif(image: Image.Image | None = None, **options) -> bytes:
    return encoded("AVIF", image or corners(), subsampling="4:4:4", quality=95, **options)


def _avif_sequence() -> bytes:
    return encoded("AVIF", corners(), save_all=True, append_images=[picture(), picture()], duration=40, quality=95)


def rebranded(content: bytes, major: bytes) -> bytes:
    return content[:8] + major + content[12:]


TRAILERS = {
    "a Samsung trailer": samsung_trailer((0x0A01, b"Image_UTC_Data", b"1500000000000")),
    "a Samsung trailer with a motion photo": samsung_trailer((0x0A30, b"MotionPhoto_Data", video())),
    "a Motorola trailer": b"\x00\x00\x00\x08MOTO" + bytes(range(256)) * 8,
    "an HTC trailer": b"\x1a\x00\x00\x00HTCAbcd" + b"\x01" * 4_000,
    "a BlackBerry trailer": b"\xff" * 30 + b"[camera]\r\nmodel=none\r\n",
    "a motion photo": video(),
    "a page of zeros": bytes(4096),
    "a zero": b"\x00",
    "fill bytes": b"\xff" * 1000,
    "a line end": b"\r\n",
    "a thumbnail": encoded("JPEG", picture(8, 6)),
    "a web page": b"<!DOCTYPE html><script>alert(1)</script>",
    "an archive": pictures.archive(),
}
GARBAGE = {
    "zeros": bytes(7),
    "fill bytes": b"\xff" * 9,
    "text": b"camera",
    "an escaped FF": b"\xff\x00\xff\x00",
    "a restart": b"\xff\xd3",
}

CUT = {
    **{f"a JPEG and {name}": Taken(lambda t=tail: JPEG + t, "image/jpeg", JPEG) for name, tail in TRAILERS.items()},
    **{
        f"a {kind} and {name}": Taken(lambda p=plain, t=TRAILERS[name]: p + t, content_type, plain)
        for kind, content_type, plain in (
            ("PNG", "image/png", PNG),
            ("GIF", "image/gif", GIF),
            ("WebP", "image/webp", WEBP),
        )
        for name in ("a page of zeros", "a zero", "a web page", "an archive", "a thumbnail")
    },
    **{
        f"a JPEG with {name} between its segments": Taken(lambda g=g: between_all(g), "image/jpeg", JPEG)
        for name, g in GARBAGE.items()
    },
    "a JPEG with garbage behind its scan": Taken(
        lambda: JPEG[:-2] + b"\xff\x01" + bytes(5) + JPEG[-2:], "image/jpeg", JPEG
    ),
    "a JPEG with a page in front of its scan": Taken(lambda: before(SOS, TRAILERS["a web page"]), "image/jpeg", JPEG),
    "a JPEG with a second picture": Taken(lambda: multi_picture(encoded("JPEG", picture(8, 6))), "image/jpeg", JPEG),
    "a JPEG with half a second picture": Taken(lambda: multi_picture(JPEG[:200]), "image/jpeg", JPEG),
    "a JPEG with a PDF in a comment": Taken(lambda: jpeg_with(segment(0xFE, b"%PDF-1.4\n%%EOF")), "image/jpeg", JPEG),
    "a JPEG with an archive in its last comment": Taken(
        lambda: JPEG[:-2] + segment(0xFE, pictures.archive()) + JPEG[-2:], "image/jpeg", JPEG
    ),
    "a PNG with PHP in a text": Taken(
        lambda: PNG[:33] + pictures.chunk(b"tEXt", b"a\x00<?php ?>") + PNG[33:], "image/png", PNG
    ),
    "a PNG with an archive in its last text": Taken(
        lambda: PNG[:-12] + pictures.chunk(b"tEXt", b"a\x00" + pictures.archive()) + PNG[-12:], "image/png", PNG
    ),
    "a WebP with metadata and zeros": Taken(lambda: pictures.with_metadata("WEBP") + bytes(99), "image/webp"),
    **{
        f"a JPEG turned {value} by type {kind} in order {order}": Taken(
            lambda k=kind, v=value, o=order: with_orientation(k, v, o), "image/jpeg", sent_orientation(value)
        )
        for kind, value in ((1, 6), (3, 8), (4, 6), (4, 3), (6, 2), (8, 5), (9, 7))
        for order in "<>"
    },
    **{
        f"an animated {kind} and zeros": Taken(
            lambda k=kind: animation(k, 5) + bytes(50),
            f"image/{kind.lower()}",
            animation(kind, 5),
            size=(8, 8),
            frames=5,
        )
        for kind in ("GIF", "WEBP", "PNG")
    },
}
AS_IT_IS = {
    "a CMYK JPEG": Taken(lambda: encoded("JPEG", corners("CMYK")), "image/jpeg", encoded("JPEG", corners("CMYK"))),
    "a grey JPEG": Taken(lambda: encoded("JPEG", corners("L")), "image/jpeg", encoded("JPEG", corners("L"))),
    "a progressive JPEG": Taken(
        lambda: encoded("JPEG", corners(), progressive=True), "image/jpeg", encoded("JPEG", corners(), progressive=True)
    ),
    "a PNG of 16 bits": Taken(
        lambda: encoded("PNG", picture(mode="I;16")), "image/png", encoded("PNG", picture(mode="I;16"))
    ),
}
CONVERTED = {
    "a HEIC": Taken(_heic, "image/heic", corners=PAINTED),
    "a HEIC in tiles": Taken(
        lambda: _heic(corners(size=(300, 200)), tile_size=128), "image/heic", corners=PAINTED, size=(300, 200)
    ),
    "a HEIC of 10 bits": Taken(heic_10_bit, "image/heic", corners=PAINTED),
    "a grey HEIC": Taken(
        lambda: heic(corners("L"), quality=95), "image/heic", corners=((76,) * 3, (150,) * 3, (226,) * 3, (29,) * 3)
    ),
    "a HEIC with transparency": Taken(
        lambda: _heic(see_through(corners())), "image/heic", corners=(RED, (255,) * 3, (255,) * 3, BLUE)
    ),
    "a HEIC that is turned": Taken(
        lambda: _heic(exif=turned(6).tobytes()), "image/heic", corners=(BLUE, RED, GREEN, YELLOW), size=(30, 40)
    ),
    "a HEIC that is mirrored": Taken(
        lambda: _heic(exif=turned(2).tobytes()), "image/heic", corners=(GREEN, RED, BLUE, YELLOW)
    ),
    "a HEIC burst": Taken(lambda: heic_burst(2), "image/heic", corners=PAINTED),
    "a HEIC of the brand mif1": Taken(lambda: rebranded(_heic(), b"mif1"), "image/heic", corners=PAINTED),
    "a HEIC of the brand heix": Taken(lambda: rebranded(_heic(), b"heix"), "image/heic", corners=PAINTED),
    "a HEIC and a Samsung trailer": Taken(
        lambda: _heic() + TRAILERS["a Samsung trailer with a motion photo"], "image/heic", corners=PAINTED
    ),
    "an AVIF": Taken(_avif, "image/avif", corners=PAINTED),
    "an AVIF of 10 bits": Taken(lambda: AVIF_10_BIT, "image/avif", corners=PAINTED),
    "a grey AVIF": Taken(
        lambda: encoded("AVIF", corners("L"), quality=95),
        "image/avif",
        corners=((76,) * 3, (150,) * 3, (226,) * 3, (29,) * 3),
    ),
    "an AVIF with transparency": Taken(
        lambda: _avif(see_through(corners())), "image/avif", corners=(RED, (255,) * 3, (255,) * 3, BLUE)
    ),
    **{
        f"an AVIF that is turned {value}": Taken(
            lambda v=value: _avif(exif=turned(v)), "image/avif", corners=shown, size=(40, 30) if value < 5 else (30, 40)
        )
        for value, shown in (
            (2, (GREEN, RED, BLUE, YELLOW)),
            (3, (YELLOW, BLUE, RED, GREEN)),
            (6, (BLUE, RED, GREEN, YELLOW)),
            (8, (GREEN, YELLOW, BLUE, RED)),
        )
    },
    "an AVIF sequence": Taken(_avif_sequence, "image/avif", corners=PAINTED),
    "an AVIF of the brand mif1": Taken(lambda: rebranded(_avif(), b"mif1"), "image/avif", corners=PAINTED),
}
CORPUS: dict[str, Taken] = {**CUT, **AS_IT_IS, **CONVERTED}
