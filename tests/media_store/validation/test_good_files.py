"""Images as real programs write them are accepted, with correct data."""

import io
import struct
import zlib

import pytest
from PIL import Image

from media_store.errors import BadImage
from media_store.validation import ImageLimits
from media_store.validation.picture import ANIMATION_FACTOR
from tests.media_store import pictures
from tests.media_store.pictures import encoded, picture
from tests.media_store.validation.opened import validate

VARIETIES = {
    "a plain JPEG": encoded("JPEG"),
    "a progressive JPEG": encoded("JPEG", progressive=True),
    "a grey JPEG": encoded("JPEG", picture(mode="L")),
    "a CMYK JPEG": encoded("JPEG", picture(mode="CMYK")),
    "a JPEG with restart markers": encoded("JPEG", restart_marker_blocks=1),
    "a plain PNG": encoded("PNG"),
    "a PNG with a palette": encoded("PNG", picture(mode="P")),
    "a PNG of one bit": encoded("PNG", picture(mode="1")),
    "a PNG with transparency": encoded("PNG", picture(mode="RGBA")),
    "a grey PNG with transparency": encoded("PNG", picture(mode="LA")),
    "a GIF": encoded("GIF"),
    "a lossy WebP": encoded("WEBP"),
    "a lossless WebP": encoded("WEBP", lossless=True),
    "a WebP with transparency": encoded("WEBP", picture(mode="RGBA")),
}


@pytest.mark.parametrize("content", VARIETIES.values(), ids=list(VARIETIES))
def test_a_good_file_is_accepted_and_has_nothing_to_remove(content: bytes) -> None:
    found = validate(content)

    assert found.format.name == Image.open(io.BytesIO(content)).format
    assert (found.width, found.height, found.frames, found.clean_size) == (40, 30, 1, None)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_the_frames_of_an_animation_are_counted(kind: str) -> None:
    found = validate(pictures.animation(kind, 7))

    assert (found.width, found.height, found.frames, found.clean_size) == (8, 8, 7, None)


def test_the_size_of_a_webp_frame_is_read_from_its_data() -> None:
    header = b"".join(number.to_bytes(3, "little") for number in (0, 0, 40 - 1, 30 - 1, 40)) + b"\x00"
    frame = header + encoded("WEBP", picture(20, 30))[12:]
    canvas = bytes([2, 0, 0, 0]) + (40 - 1).to_bytes(3, "little") + (30 - 1).to_bytes(3, "little")
    chunks = {b"VP8X": canvas, b"ANIM": bytes(6), b"ANMF": frame}

    found = validate(pictures.riff(*(kind + struct.pack("<I", len(body)) + body for kind, body in chunks.items())))

    assert (found.width, found.height, found.frames) == (40, 30, 1)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (5, 5), (8, 8), (13, 21), (33, 1)])
def test_the_passes_of_an_interlaced_png_are_counted_as_specified(width: int, height: int) -> None:
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"\x00" + b"\x7f" * len(range(left, width, across))
        for left, top, across, down in passes
        for _ in range(top, height, down)
        if left < width
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    parts = (pictures.chunk(b"IHDR", header), pictures.chunk(b"IDAT", zlib.compress(rows)), pictures.chunk(b"IEND"))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    assert set(Image.open(io.BytesIO(content)).tobytes()) == {0x7F}

    found = validate(content)

    assert (found.width, found.height) == (width, height)


def test_a_png_may_have_many_data_chunks() -> None:
    rows = zlib.compress(bytes(11 * 10))
    header = pictures.chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 0, 0, 0, 0))
    pieces = b"".join(pictures.chunk(b"IDAT", rows[at : at + 1]) for at in range(len(rows)))

    found = validate(b"\x89PNG\r\n\x1a\n" + header + pieces + pictures.chunk(b"IEND"))

    assert (found.width, found.height) == (10, 10)


class TestLimits:
    def test_of_pixels(self) -> None:
        content = encoded("PNG")
        assert validate(content, ImageLimits(pixels=40 * 30, frames=1))

        with pytest.raises(BadImage) as error:
            validate(content, ImageLimits(pixels=40 * 30 - 1, frames=1))

        assert error.value.field_code == "too_many_pixels"

    @pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
    def test_of_frames(self, kind: str) -> None:
        content = pictures.animation(kind, 4)
        assert validate(content, ImageLimits(pixels=640, frames=4))

        with pytest.raises(BadImage) as error:
            validate(content, ImageLimits(pixels=640, frames=3))

        assert error.value.field_code == "too_many_frames"

    def test_of_the_pixels_of_all_frames(self) -> None:
        within, beyond = pictures.gif(ANIMATION_FACTOR), pictures.gif(ANIMATION_FACTOR + 1)
        limits = ImageLimits(pixels=1, frames=500)
        assert validate(within, limits)

        with pytest.raises(BadImage) as error:
            validate(beyond, limits)

        assert error.value.field_code == "too_many_pixels"
