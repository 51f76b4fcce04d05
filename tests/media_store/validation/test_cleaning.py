"""The clean copy: the same image without metadata."""

import io
import struct

import pytest
from PIL import ExifTags, Image, ImageCms

from media_store.validation import exif
from tests.media_store import pictures
from tests.media_store.pictures import encoded, jpeg_with, segment, with_metadata
from tests.media_store.validation.opened import cleaned, validate

KINDS = ["JPEG", "PNG", "GIF", "WEBP"]


def pixels(content: bytes) -> list[bytes]:
    """The pixels of every frame."""
    with Image.open(io.BytesIO(content)) as image:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1
        found = []
        for number in range(frames):
            image.seek(number)
            found.append(image.convert("RGBA").tobytes())
    return found


def tags(content: bytes) -> dict:
    with Image.open(io.BytesIO(content)) as image:
        return dict(image.getexif())


@pytest.mark.parametrize("kind", KINDS)
def test_the_clean_copy_has_the_same_pixels_and_no_metadata(kind: str) -> None:
    content = with_metadata(kind)

    clean = cleaned(content)

    assert pixels(clean) == pixels(content)
    for secret in (pictures.CAMERA.encode(), pictures.COMMENT.encode(), pictures.XMP, b"Exif", b"xmp"):
        assert secret not in clean
    assert tags(clean) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_clean_copy_is_a_valid_file_with_the_same_properties(kind: str) -> None:
    before, after = validate(with_metadata(kind)), validate(cleaned(with_metadata(kind)))

    assert (after.format, after.width, after.height) == (before.format, before.width, before.height)
    assert (before.clean_size, after.clean_size) == (len(cleaned(with_metadata(kind))), None)
    assert cleaned(cleaned(with_metadata(kind))) == cleaned(with_metadata(kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_only_the_orientation_of_exif_is_kept(kind: str, orientation: int) -> None:
    content = with_metadata(kind, orientation)

    clean = cleaned(content)

    assert tags(clean) == {ExifTags.Base.Orientation: orientation}
    assert pixels(clean) == pixels(content)
    assert pictures.CAMERA.encode() not in clean


def test_checksums_of_the_clean_copy_are_verified() -> None:
    plain = encoded("PNG")
    text = bytearray(pictures.chunk(b"tEXt", b"Comment\x00" + pictures.COMMENT.encode()))
    text[-1] ^= 0xFF

    assert cleaned(plain[:33] + bytes(text) + plain[33:]) == plain


def test_metadata_may_precede_the_image_of_a_webp() -> None:
    plain = encoded("WEBP")
    exif_chunk = b"EXIF" + struct.pack("<I", 4) + b"some"

    assert cleaned(pictures.riff(exif_chunk, plain[12:])) == plain


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_an_animation_keeps_its_frames(kind: str) -> None:
    shades = [pictures.picture(8, 8, shade=number * 60) for number in range(3)]
    secret = {"comment": pictures.COMMENT} if kind == "GIF" else {"exif": pictures.gps()}
    content = encoded(kind, shades[0], save_all=True, append_images=shades[1:], duration=40, loop=0, **secret)

    clean = cleaned(content)

    assert len(clean) < len(content)
    assert pixels(clean) == pixels(content)
    with Image.open(io.BytesIO(clean)) as image:
        assert (image.n_frames, image.info["loop"]) == (3, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_colour_profile_is_kept(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    clean = cleaned(encoded(kind, icc_profile=profile, exif=pictures.gps()))

    with Image.open(io.BytesIO(clean)) as image:
        assert image.info["icc_profile"] == profile
    assert pictures.CAMERA.encode() not in clean


def test_a_second_image_after_a_jpeg_is_removed() -> None:
    out = io.BytesIO()
    pictures.picture().save(out, "MPO", save_all=True, append_images=[pictures.picture(shade=90)])
    content = out.getvalue()

    clean = cleaned(content)

    assert pixels(clean) == pixels(encoded("JPEG"))
    assert clean.count(b"\xff\xd8\xff") == 1


def test_a_thumbnail_in_a_jpeg_header_is_removed() -> None:
    plain = encoded("JPEG")
    at = plain.index(b"JFIF")
    thumbnail = segment(0xE0, plain[at : at + 12] + b"\x01\x01" + b"RGB")
    content = plain[:2] + thumbnail + plain[20:]
    assert pixels(content) == pixels(plain)

    assert cleaned(content) == plain


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xE3, 0xEC, 0xED, 0xEF, 0xFE])
def test_segments_that_do_not_affect_the_image_are_removed(marker: int) -> None:
    assert cleaned(jpeg_with(segment(marker, b"a remark"))) == encoded("JPEG")


class TestOrientation:
    def tiff(self, order: str, tag: int, kind: int, value: int) -> bytes:
        mark = {"<": b"II*\x00", ">": b"MM\x00*"}[order]
        return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, tag, kind, 1, value, 0, 0)

    def kept(self, block: bytes) -> int:
        found = Image.Exif()
        found.load(exif.PREFIX + exif.only_orientation(block))
        return found[ExifTags.Base.Orientation]

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_the_orientation_is_read_in_both_byte_orders(self, order: str) -> None:
        assert self.kept(self.tiff(order, 0x0112, 3, 6)) == 6

    @pytest.mark.parametrize(
        "block",
        [
            b"",
            b"II*\x00",
            b"XX*\x00" + bytes(30),
            b"II*\x00" + b"\xff" * 4,
            b"II*\x00\x08\x00\x00\x00\xff\xff",
            b"II*\x00\x08\x00\x00\x00\x01\x00\x12",
        ],
    )
    def test_an_unreadable_orientation_is_upright(self, block: bytes) -> None:
        assert exif.only_orientation(block) == b""

    @pytest.mark.parametrize("value", [0, 9, 65_535])
    def test_an_invalid_orientation_is_upright(self, value: int) -> None:
        assert exif.only_orientation(self.tiff("<", 0x0112, 3, value)) == b""

    def test_another_tag_is_not_the_orientation(self) -> None:
        assert exif.only_orientation(self.tiff("<", 0x0110, 3, 6)) == b""

    def test_an_orientation_of_another_integer_size_is_read(self) -> None:
        assert self.kept(self.tiff("<", 0x0112, 4, 6)) == 6
