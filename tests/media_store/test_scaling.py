"""scale(): a copy fits its limits, stands upright, and has the colours of the image."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from media_store.errors import CannotScale
from media_store.scaling import MAX_SIDE, Profile, Scaled, scale
from tests.media_store import pictures
from tests.media_store.pictures import encoded, picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
# The largest difference of a colour after JPEG.
CLOSE = 12


def scaled(content: bytes, **limits: int) -> Scaled:
    return scale(io.BytesIO(content), Profile(**limits))


def opened(copy: Scaled) -> Image.Image:
    image = Image.open(io.BytesIO(copy.content))
    image.load()
    assert (image.format, image.size) == ("JPEG", (copy.width, copy.height))
    return image


def noise(width: int, height: int) -> Image.Image:
    """What JPEG compresses worst."""
    return Image.merge("RGB", [Image.effect_noise((width, height), 90) for _ in range(3)])


def halves(width: int = 60, height: int = 40) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def is_close(found, expected) -> bool:
    return all(abs(one - other) <= CLOSE for one, other in zip(found, expected, strict=True))


def test_profiles_have_the_names_of_their_limits() -> None:
    assert Profile().name == "jpeg"
    assert Profile(max_bytes=590_000).name == "590000b-jpeg"
    assert Profile(max_bytes=590_000, max_side=1_600).name == "590000b-1600px-jpeg"
    assert Profile(max_side=1_600).name == "1600px-jpeg"
    assert len(Profile(max_bytes=100_000_000, max_side=20_000).name) <= 40


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    max_bytes=st.integers(3_000, 60_000),
    max_side=st.none() | st.integers(16, 800),
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]),
)
def test_a_copy_fits_and_keeps_its_proportions(
    width: int, height: int, max_bytes: int, max_side: int | None, kind: str
) -> None:
    copy = scale(io.BytesIO(encoded(kind, noise(width, height))), Profile(max_bytes, max_side))

    opened(copy)
    longer = max(copy.width, copy.height)
    assert len(copy.content) <= max_bytes
    assert longer <= min(max_side or MAX_SIDE, max(width, height))
    # Each side is within a pixel of its exact length, in each of the few steps.
    assert abs(copy.width * max(width, height) - longer * width) <= 3 * max(width, height)
    assert abs(copy.height * max(width, height) - longer * height) <= 3 * max(width, height)


def test_what_fits_keeps_its_pixels() -> None:
    copy = scaled(encoded("PNG", picture(400, 300)), max_bytes=100_000)

    assert (copy.width, copy.height) == (400, 300)


@pytest.mark.parametrize("size", [(5_000, 1_000), (3_000, 4_500), (20_000, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_copy_is_larger_than_a_screen(kind: str, size: tuple[int, int]) -> None:
    copy = scaled(encoded(kind, picture(*size)))

    assert max(copy.width, copy.height) == MAX_SIDE
    assert min(copy.width, copy.height) == max(1, round(MAX_SIDE * min(size) / max(size)))


@pytest.mark.parametrize(
    "content",
    [encoded("JPEG")[:300], b"GIF89a", b"", encoded("BMP"), encoded("PNG")[:60]],
    ids=["a JPEG cut short", "a GIF cut short", "nothing", "another format", "a PNG cut short"],
)
def test_what_cannot_be_decoded_is_refused(content: bytes) -> None:
    with pytest.raises(CannotScale, match="cannot be decoded"):
        scaled(content, max_bytes=100_000)


def test_limits_that_no_jpeg_fits_are_refused() -> None:
    with pytest.raises(CannotScale, match="as small as 200 bytes"):
        scaled(encoded("PNG", noise(600, 400)), max_bytes=200)


class TestOrientation:
    def block(self, value: int, kind: int) -> bytes:
        """EXIF with only the orientation, as a SHORT (3) or a LONG (4)."""
        form = "<HHIHH" if kind == 3 else "<HHII"
        entry = struct.pack(form, 0x0112, kind, 1, *([value, 0] if kind == 3 else [value]))
        return b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + bytes(4)

    @pytest.mark.parametrize("kind", [3, 4], ids=["SHORT", "LONG"])
    @pytest.mark.parametrize(
        ("value", "first", "last"),
        [
            (1, (0, 0.5), (1, 0.5)),
            (2, (1, 0.5), (0, 0.5)),
            (3, (1, 0.5), (0, 0.5)),
            (4, (0, 0.5), (1, 0.5)),
            (5, (0.5, 0), (0.5, 1)),
            (6, (0.5, 0), (0.5, 1)),
            (7, (0.5, 1), (0.5, 0)),
            (8, (0.5, 1), (0.5, 0)),
        ],
    )
    def test_the_copy_stands_upright(self, value: int, kind: int, first, last) -> None:
        content = encoded("JPEG", halves(), exif=self.block(value, kind), quality=95)

        copy = opened(scaled(content, max_bytes=50_000))

        def at(place) -> tuple[int, int, int]:
            return copy.getpixel(
                tuple(round(4 + share * (side - 9)) for share, side in zip(place, copy.size, strict=True))
            )

        assert copy.size == ((60, 40) if value < 5 else (40, 60))
        assert is_close(at(first), RED)
        assert is_close(at(last), BLUE)
        assert copy.getexif() == {}

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_other_formats_have_it_too(self, kind: str) -> None:
        copy = scaled(encoded(kind, halves(), exif=pictures.gps(6)), max_side=30)

        assert (copy.width, copy.height) == (20, 30)

    def test_an_unknown_one_counts_as_none(self) -> None:
        copy = scaled(encoded("JPEG", halves(), exif=self.block(99, 3)))

        assert (copy.width, copy.height) == (60, 40)


class TestColours:
    def test_a_colour_profile_is_applied_and_left_out(self) -> None:
        """Swapped channels: a profile whose red primary is sRGB's blue, and the other way round."""
        swapped = _swapped_profile()
        plain = encoded("PNG", Image.new("RGB", (20, 20), RED))
        profiled = encoded("PNG", Image.new("RGB", (20, 20), RED), icc_profile=swapped)

        assert is_close(opened(scaled(plain)).getpixel((10, 10)), RED)
        found = opened(scaled(profiled))
        assert is_close(found.getpixel((10, 10)), BLUE)
        assert "icc_profile" not in found.info

    @pytest.mark.parametrize("profile", [b"no profile", b"\x00" * 200], ids=["words", "zeros"])
    def test_a_broken_profile_counts_as_none(self, profile: bytes) -> None:
        copy = opened(scaled(encoded("PNG", Image.new("RGB", (20, 20), RED), icc_profile=profile)))

        assert is_close(copy.getpixel((10, 10)), RED)

    def test_a_profile_for_other_colours_counts_as_none(self) -> None:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

        copy = opened(scaled(encoded("JPEG", Image.new("CMYK", (20, 20), (0, 255, 255, 0)), icc_profile=srgb)))

        assert is_close(copy.getpixel((10, 10)), RED)

    def test_printing_colours_become_those_of_a_screen(self) -> None:
        copy = opened(scaled(encoded("JPEG", Image.new("CMYK", (20, 20), (0, 255, 255, 0)))))

        assert copy.mode == "RGB"
        assert is_close(copy.getpixel((10, 10)), RED)

    @pytest.mark.parametrize(("value", "grey"), [(0, 0), (255, 1), (32_768, 127), (65_535, 255)])
    def test_sixteen_bits_of_grey_become_eight(self, value: int, grey: int) -> None:
        copy = opened(scaled(encoded("PNG", Image.new("I;16", (20, 20), value))))

        assert copy.mode == "L"
        assert abs(copy.getpixel((10, 10)) - grey) <= 1

    def test_black_and_white_becomes_grey(self) -> None:
        copy = opened(scaled(encoded("PNG", Image.new("1", (20, 20), 1))))

        assert (copy.mode, copy.getpixel((10, 10))) == ("L", 255)


def _dot(mode: str, **options) -> bytes:
    """A red square in the middle of a transparent image."""
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((20, 20, 40, 40), fill=(*RED, 255))
    return encoded("PNG", image if mode == "RGBA" else image.convert(mode), **options)


def _keyed() -> bytes:
    """RGB in which one colour, black, is transparent."""
    image = Image.new("RGB", (60, 60), (0, 0, 0))
    ImageDraw.Draw(image).rectangle((20, 20, 40, 40), fill=RED)
    return encoded("PNG", image, transparency=(0, 0, 0))


def _gif() -> bytes:
    image = Image.new("P", (60, 60), 0)
    image.putpalette([0, 0, 0, *RED])
    ImageDraw.Draw(image).rectangle((20, 20, 40, 40), fill=1)
    return encoded("GIF", image, transparency=0)


@pytest.mark.parametrize(
    "content",
    [_dot("RGBA"), _dot("P"), _keyed(), _gif(), encoded("WEBP", Image.open(io.BytesIO(_dot("RGBA"))), lossless=True)],
    ids=["alpha", "a palette with alpha", "a transparent colour", "GIF", "WebP"],
)
@pytest.mark.parametrize("limits", [{}, {"max_side": 30}], ids=["as large", "half"])
def test_transparency_becomes_white(content: bytes, limits: dict[str, int]) -> None:
    copy = opened(scaled(content, **limits))

    side = copy.width
    assert is_close(copy.getpixel((3, 3)), WHITE)
    assert is_close(copy.getpixel((side // 2, side // 2)), RED)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (30, 20), RED), Image.new("RGB", (30, 20), BLUE)]
    content = encoded(kind, frames[0], save_all=True, append_images=frames[1:], duration=40, loop=0)

    copy = opened(scaled(content))

    assert copy.size == (30, 20)
    assert is_close(copy.getpixel((10, 10)), RED)


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded("PNG", picture(300, 301))
    whole = opened(scaled(content, max_side=100))
    monkeypatch.setattr("media_store.scaling.STRIP_PIXELS", 2_000)

    assert opened(scaled(content, max_side=100)) == whole


def _swapped_profile() -> bytes:
    """sRGB, with the primaries of red and blue exchanged in the table of its tags."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(content[128:132])
    at = {bytes(content[place : place + 4]): place for place in range(132, 132 + 12 * count, 12)}
    red, blue = at[b"rXYZ"], at[b"bXYZ"]
    content[red : red + 4], content[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(content)
