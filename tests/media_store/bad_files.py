"""Generated files that must be refused, each with its error. Does not depend on Django."""

import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from tests.media_store import pictures
from tests.media_store.pictures import archive, chunk, encoded, gif, jpeg_with, png, riff, segment

NOT_AN_IMAGE, TOO_LARGE = (415, "not_an_image"), (413, "file_too_large")
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="9" height="9"/></svg>'
SOF0, SOS, APP2 = 0xC0, 0xDA, 0xE2
JPEG, PNG, GIF, WEBP = (encoded(kind) for kind in ("JPEG", "PNG", "GIF", "WEBP"))
DEFAULT_MAX_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """`code` is that of the problem, or of the field for a 400."""

    make: Callable[[], bytes]
    status: int
    code: str
    name: str = "photo.png"


def other_format(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind)
    return out.getvalue()


def noise(size: int) -> bytes:
    return random.Random(4).randbytes(size)


def resized_jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose header declares this size."""
    at = JPEG.index(bytes([0xFF, SOF0])) + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


def two_sizes() -> bytes:
    """Above the size up to which progressive images are decoded, so that only its headers are read."""
    content = encoded("JPEG", Image.new("RGB", (4_900, 5_000)), progressive=True)
    at = content.index(b"\xff\xc2")
    length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    first = content[at : at + 5] + b"\xff\xff\xff\xff" + content[at + 9 : at + length]
    return content[:at] + first + content[at:]


def resized_gif(width: int, height: int) -> bytes:
    return GIF[:6] + struct.pack("<HH", width, height) + GIF[10:]


def resized_heif(content: bytes, width: int, height: int) -> bytes:
    """A HEIC or AVIF whose property of the size declares this one."""
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


def palette_gif(text: bytes) -> bytes:
    """A GIF whose palette starts with `text`."""
    plain = gif(1)
    palette = text + bytes(3 * 16 - len(text))
    return plain[:10] + b"\x83" + plain[11:13] + palette + plain[19:]


def vp8x(width: int, height: int, flags: int = 0) -> bytes:
    body = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", len(body)) + body


def still() -> bytes:
    """The only chunk of a plain WebP of 40 x 30."""
    return WEBP[12:]


def webp_frames(count: int) -> bytes:
    picture = encoded("WEBP", pictures.picture(1, 1), lossless=True)[12:]
    frame = bytes(16) + picture
    anmf = b"ANMF" + struct.pack("<I", len(frame)) + frame
    return riff(vp8x(1, 1, flags=2), b"ANIM" + struct.pack("<IIH", 6, 0, 0), anmf * count)


def webp_frame(left: int, top: int) -> bytes:
    """A frame of 40 x 30 in an image of 40 x 30."""
    sides = (left // 2, top // 2, 39, 29, 40)
    frame = b"".join(side.to_bytes(3, "little") for side in sides) + b"\x00" + still()
    anmf = b"ANMF" + struct.pack("<I", len(frame)) + frame
    return riff(vp8x(40, 30, flags=2), b"ANIM" + struct.pack("<IIH", 6, 0, 0), anmf)


def large_webp_frames(count: int) -> bytes:
    """Frames whose headers declare one pixel."""
    picture = encoded("WEBP", Image.new("RGB", (5_000, 5_000)), lossless=True, method=0)[12:]
    anmf = b"ANMF" + struct.pack("<I", 16 + len(picture)) + bytes(16) + picture
    return riff(vp8x(5_000, 5_000, flags=2), b"ANIM" + struct.pack("<IIH", 6, 0, 0), anmf * count)


def apng(declared: int, frames: int) -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0))
    return png(1, 1, b"\x00\x00", chunk(b"acTL", struct.pack(">II", declared, 0)), control * frames)


def large_apng(frames: int, side: int = 5_000) -> bytes:
    """Frames with eight zero bytes per pixel; the first one is the default image."""
    rows = zlib.compress(bytes(side * (1 + 8 * side)), 9)
    header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    parts = [PNG[:8], chunk(b"IHDR", header), chunk(b"acTL", struct.pack(">II", frames, 0))]
    for number in range(frames):
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, side, side, 0, 0, 1, 10, 0, 0)))
        parts.append(chunk(b"fdAT", bytes(4) + rows) if number else chunk(b"IDAT", rows))
    return b"".join([*parts, chunk(b"IEND")])


def corrupted(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def bomb(megabytes: int) -> bytes:
    """Ten by ten pixels, with far too many rows."""
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()])
    header = struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND")


def idat_with(tail: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00\x00") + tail) + chunk(b"IEND")


def before_end(content: bytes, tail: bytes) -> bytes:
    """Of a PNG."""
    return content[:-12] + tail + content[-12:]


def bad(status: int, code: str, **makers: Callable[[], bytes]) -> dict[str, Bad]:
    return {name.replace("_", " "): Bad(make, status, code) for name, make in makers.items()}


CORPUS: dict[str, Bad] = {
    **bad(
        *NOT_AN_IMAGE,
        empty_file=lambda: b"",
        one_byte=lambda: b"\xff",
        plain_text=lambda: b"hello",
        svg=lambda: SVG,
        svg_with_declaration=lambda: b'<?xml version="1.0"?>' + SVG,
        html_named_png=lambda: HTML,
        json=lambda: json.dumps({"image": "no"}).encode(),
        pdf=lambda: PDF,
        zip_renamed=archive,
        random_bytes=lambda: noise(100_000),
        tiff=lambda: other_format("TIFF"),
        bmp=lambda: other_format("BMP"),
        ico=lambda: other_format("ICO"),
        jpeg_2000=lambda: other_format("JPEG2000"),
        video=lambda: pictures.box(b"ftyp", b"mp42", bytes(4), b"isommp42") + pictures.box(b"mdat", noise(100)),
        postscript=lambda: other_format("EPS"),
        pcx=lambda: other_format("PCX"),
        riff_that_is_sound=lambda: b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(28),
        html_before_a_png=lambda: HTML + PNG,
        zip_before_a_jpeg=lambda: archive() + JPEG,
        pdf_before_a_gif=lambda: PDF + GIF,
        png_sent_as_text=lambda: PNG.replace(b"\r\n", b"\n"),
    ),
    **bad(
        *TOO_LARGE,
        too_many_bytes_of_noise=lambda: noise(DEFAULT_MAX_BYTES + 1),
        a_picture_of_too_many_bytes=lambda: before_end(PNG, chunk(b"tEXt", b"k\x00" + bytes(DEFAULT_MAX_BYTES))),
    ),
    **bad(
        400,
        "too_many_pixels",
        png_of_50000_by_50000=lambda: png(50_000, 50_000, b""),
        png_of_one_long_row=lambda: png(25_000_001, 1, b""),
        jpeg_of_65535_by_65535=lambda: resized_jpeg(65_535, 65_535),
        gif_of_65535_by_65535=lambda: resized_gif(65_535, 65_535),
        webp_of_16384_by_16384=lambda: riff(vp8x(16_384, 16_384), still()),
        apng_of_large_frames=lambda: large_apng(2),
        heic_of_65535_by_65535=lambda: resized_heif(pictures.heic(), 65_535, 65_535),
        avif_of_16000_by_16000=lambda: resized_heif(encoded("AVIF"), 16_000, 16_000),
        webp_of_large_frames=lambda: large_webp_frames(11),
        gif_of_large_frames=lambda: gif(500, size=(5_000, 5_000), frame=(5_000, 5_000)),
    ),
    **bad(
        400,
        "too_many_frames",
        gif_of_10000_frames=lambda: gif(10_000),
        webp_of_10000_frames=lambda: webp_frames(10_000),
        apng_that_says_10000_frames=lambda: apng(10_000, 1),
    ),
    **bad(
        400,
        "truncated",
        truncated_jpeg=lambda: JPEG[:-10],
        truncated_jpeg_header=lambda: JPEG[:30],
        jpeg_that_is_a_head_and_noise=lambda: JPEG[:20] + b"\x00" * 200,
        jpeg_that_is_a_head_and_fill_bytes=lambda: JPEG[:20] + b"\xff" * 4_000_000 + b"\x00",
        truncated_heic=lambda: pictures.heic()[:-10],
        truncated_heic_header=lambda: pictures.heic()[:60],
        truncated_avif=lambda: encoded("AVIF")[:-10],
        truncated_png=lambda: PNG[:-20],
        png_without_its_end=lambda: PNG[:-12],
        png_signature_alone=lambda: PNG[:8] + b"\x00\x00",
        png_of_too_few_rows=lambda: png(10, 10, bytes(11 * 9)),
        truncated_gif=lambda: GIF[:-10],
        gif_header_alone=lambda: GIF[:9],
        truncated_webp=lambda: WEBP[:-10],
        webp_header_alone=lambda: WEBP[:16],
    ),
    **bad(
        400,
        "damaged",
        png_with_a_bad_checksum=lambda: corrupted(PNG, len(PNG) - 20),
        png_of_more_rows_than_it_says=lambda: bomb(100),
        png_of_no_width=lambda: png(0, 10, b""),
        png_of_an_impossible_depth=lambda: png(1, 1, b"\x00\x00", depth=3),
        png_whose_rows_are_no_rows=lambda: PNG[:33] + chunk(b"IDAT", noise(50)) + chunk(b"IEND"),
        png_with_data_behind_its_rows=lambda: idat_with(archive()),
        png_with_two_headers=lambda: PNG[:33] + PNG[8:],
        png_with_an_unknown_critical_part=lambda: before_end(PNG, chunk(b"EVIL", b"x")),
        png_of_a_million_parts=lambda: before_end(PNG, chunk(b"tEXt") * 100_000),
        apng_that_says_too_few_frames=lambda: apng(1, 3),
        jpeg_that_is_a_scan_alone=lambda: JPEG[:2] + JPEG[JPEG.index(bytes([0xFF, SOS])) :],
        jpeg_without_a_scan=lambda: b"\xff\xd8\xff\xd9",
        jpeg_of_two_starts=lambda: JPEG[:2] + JPEG,
        jpeg_whose_garbage_has_a_segment=lambda: JPEG[:20] + b"\x00\x00\xff\xe5\x00\x01" + JPEG[20:],
        jpeg_with_a_lying_length=lambda: jpeg_with(b"\xff\xe1\x00\x01"),
        jpeg_with_two_sizes=lambda: jpeg_with(segment(SOF0, bytes([8, 0, 9, 0, 9, 1, 1, 0x11, 0]))),
        large_progressive_jpeg_with_two_sizes=two_sizes,
        jpeg_of_a_hundred_scans=lambda: JPEG[:-2] + JPEG[JPEG.index(bytes([0xFF, SOS])) : -2] * 100 + JPEG[-2:],
        jpeg_of_a_thousand_scans=lambda: JPEG[:-2] + JPEG[JPEG.index(bytes([0xFF, SOS])) : -2] * 1_000 + JPEG[-2:],
        gif_smaller_than_its_frame=lambda: resized_gif(2, 2),
        gif_without_a_frame=lambda: gif(0),
        large_gif_without_most_of_its_pixels=lambda: gif(1, size=(3_000, 1_000), frame=(3_000, 1_000)),
        gif_of_noise=lambda: gif(1)[:19] + noise(40),
        webp_that_is_larger_than_its_picture=lambda: riff(vp8x(80, 60), still()),
        webp_without_a_picture=lambda: riff(vp8x(8, 8)),
        webp_of_a_frame_outside=lambda: webp_frame(10, 0),
        webp_of_two_pictures_without_a_header=lambda: riff(still(), still()),
        webp_of_two_pictures=lambda: riff(vp8x(40, 30), still(), still()),
        heic_without_a_picture=lambda: pictures.heic()[:28],
        heic_of_noise=lambda: pictures.heic()[:28] + pictures.box(b"meta", noise(400)),
        heic_whose_picture_is_noise=lambda: pictures.heic()[:-200] + noise(200),
        avif_whose_picture_is_noise=lambda: encoded("AVIF")[:-200] + noise(200),
        avif_without_a_picture=lambda: encoded("AVIF")[:32],
        heic_that_is_an_avif=lambda: encoded("AVIF").replace(b"avif", b"heic"),
        webp_of_noise=lambda: riff(b"VP8 " + struct.pack("<I", 100) + still()[8:18] + noise(90)),
    ),
    **bad(
        400,
        "foreign_data",
        zip_in_the_profile_of_a_jpeg=lambda: (
            JPEG[:-2] + segment(APP2, b"ICC_PROFILE\x00\x01\x01" + archive()) + JPEG[-2:]
        ),
        html_in_the_profile_of_a_jpeg=lambda: jpeg_with(segment(APP2, b"ICC_PROFILE\x00\x01\x01" + HTML)),
        php_in_the_palette_of_a_gif=lambda: palette_gif(b"<?php system($_GET[0]); ?>"),
        zip_in_the_loop_of_a_gif=lambda: (
            GIF[:-1] + b"\x21\xff\x0bNETSCAPE2.0" + bytes([len(archive())]) + archive() + b"\x00\x3b"
        ),
        pdf_in_the_profile_of_an_avif=lambda: encoded("AVIF", icc_profile=bytes(16) + b"RGB " + bytes(108) + PDF),
    ),
}
