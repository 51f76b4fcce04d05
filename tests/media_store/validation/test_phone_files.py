"""Files as phones write them are taken, and the right copy goes out."""

import io

import pytest
from PIL import Image, ImageCms

from media_store.validation import isobmff
from tests.media_store.bad_files import CORPUS as BAD
from tests.media_store.phone_files import (
    CONVERTED,
    CORPUS,
    CUT,
    JPEG,
    Taken,
    corners,
    heic_burst,
    oriented,
    turned,
)
from tests.media_store.pictures import CAMERA, encoded, gps, heic
from tests.media_store.validation.opened import cleaned, validate

TOLERANCE = 12  # of 255: the copy is encoded anew


def corners_of(content: bytes) -> tuple[tuple[int, ...], ...]:
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        width, height = image.size
        places = ((4, 4), (width - 5, 4), (width - 5, height - 5), (4, height - 5))
        shown = image.convert("RGB")
        return tuple(shown.getpixel(place) for place in places)


def test_the_corpora_have_enough_files() -> None:
    assert len(CORPUS) >= 60
    assert len(BAD) >= 60


@pytest.mark.parametrize("file", CORPUS.values(), ids=list(CORPUS))
def test_the_file_is_taken(file: Taken) -> None:
    content = file.make()

    found = validate(content)

    sent = cleaned(content)
    assert found.format.content_type == file.content_type
    assert (found.width, found.height, found.frames) == (*file.size, file.frames)
    assert found.clean_size == (None if sent == content else len(sent))
    assert found.clean_content_type == ("image/jpeg" if file.content_type in {"image/heic", "image/avif"} else "")
    if file.sent is not None:
        assert sent == file.sent
    for shown, expected in zip(corners_of(sent), file.corners, strict=True) if file.corners else ():
        assert max(abs(one - other) for one, other in zip(shown, expected, strict=True)) <= TOLERANCE


@pytest.mark.parametrize("file", CUT.values(), ids=list(CUT))
def test_what_goes_out_is_taken_as_it_is(file: Taken) -> None:
    sent = cleaned(file.make())

    assert validate(sent).clean_size is None


@pytest.mark.parametrize("file", CONVERTED.values(), ids=list(CONVERTED))
def test_a_converted_picture_has_no_exif(file: Taken) -> None:
    with Image.open(io.BytesIO(cleaned(file.make()))) as image:
        assert not image.getexif()
        assert image.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("make", [heic, lambda **options: encoded("AVIF", **options)], ids=["HEIC", "AVIF"])
def test_camera_and_position_do_not_go_out(make) -> None:
    content = make(exif=gps(6).tobytes())
    assert CAMERA.encode() in content

    assert CAMERA.encode() not in cleaned(content)


@pytest.mark.parametrize(
    "make", [heic, lambda image, **options: encoded("AVIF", image, **options)], ids=["HEIC", "AVIF"]
)
def test_the_colour_profile_goes_out(make) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    with Image.open(io.BytesIO(cleaned(make(corners(), icc_profile=profile)))) as image:
        assert image.info["icc_profile"] == profile


def test_a_profile_of_another_colour_space_does_not_go_out() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    with Image.open(io.BytesIO(cleaned(heic(corners(), icc_profile=profile)))) as image:
        assert "icc_profile" not in image.info


def test_exif_alone_does_not_turn_a_heic() -> None:
    """The turn is a property of the picture, and EXIF repeats it: readers ignore it there (ISO 23008-12)."""
    upright = heic(corners(), exif=gps(1).tobytes(), chroma=444, quality=95)
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"
    assert upright.count(tag + b"\x01") == 1

    content = upright.replace(tag + b"\x01", tag + b"\x06")

    assert cleaned(content) == cleaned(upright)


def test_the_primary_picture_of_a_burst_is_sent() -> None:
    assert cleaned(heic_burst(0)) == cleaned(heic_burst(1)) == cleaned(heic_burst(2))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", [0, 1, 9, 200])
def test_an_orientation_that_says_nothing_is_left_out(order: str, value: int) -> None:
    body = oriented(4, value, order)
    content = JPEG[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body + JPEG[2:]

    assert cleaned(content) == JPEG


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEVC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "HEVC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "AV1"),
        (b"\x00\x00\x00\x14ftypmsf1\x00\x00\x00\x00avis", "AV1"),
        (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1avif", "HEVC"),  # the last brand is outside of the box
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1heic", "AV1"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mif1heic", None),
        (b"\x00\x00\x00\x18ftyp", None),
        (b"", None),
    ],
)
def test_the_brands_tell_the_codec(head: bytes, codec: str | None) -> None:
    assert isobmff.codec(head) == codec


def test_the_orientation_of_a_jpeg_is_not_applied_to_its_size() -> None:
    found = validate(encoded("JPEG", corners(), exif=turned(6)))

    assert (found.width, found.height) == (40, 30)
