"""Validation of any file takes little memory."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from media_store.errors import MediaError
from tests.media_store import pictures
from tests.media_store.bad_files import CORPUS
from tests.media_store.pictures import encoded, heic, picture
from tests.media_store.validation.opened import validate

KIB, MIB = 1024, 1024 * 1024
MOST = 48 * MIB
MB = 1_000_000
MOST_OF_CONVERSION = 250 * MB
# Runs in a separate process: its peak memory in bytes while it validates files one after another. `ru_maxrss` would also
# count the memory of its parent before the child started its program.
PEAK = """
import re, sys
from pathlib import Path
from media_store.errors import MediaError
from tests.media_store import pictures
from tests.media_store.bad_files import CORPUS
from tests.media_store.validation.opened import validate

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

for kind in pictures.KINDS.values():
    validate(kind())
files = [Path(path).read_bytes() for path in sys.argv[1:]] or [bad.make() for bad in CORPUS.values()]
Path("/proc/self/clear_refs").write_text("5")  # reset the peak
before = peak()
for content in files:
    try:
        validate(content)
    except MediaError:
        pass
print(peak() - before)
"""
# The same for the process that converts: its peak for a large picture, above that for a small one.
PEAK_OF_CONVERSION = """
import resource, sys
from pathlib import Path
from media_store.errors import MediaError
from tests.media_store import pictures
from tests.media_store.validation.opened import validate

def peak():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

validate(pictures.heic())
before = peak()
try:
    print(validate(Path(sys.argv[1]).read_bytes()).width)
except MediaError as error:
    print(error.field_code)
print(peak() - before)
"""
on_linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")


def peak_of_process(*paths: Path) -> int:
    """The peak for these files; without paths, for all bad files."""
    command = [sys.executable, "-c", PEAK, *map(str, paths)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


def peak(content: bytes) -> int:
    """Bytes that Python allocated to validate it."""
    tracemalloc.start()
    try:
        validate(content)
    except MediaError:
        pass
    finally:
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return taken


@pytest.mark.parametrize("bad", CORPUS.values(), ids=list(CORPUS))
def test_a_bad_file_takes_little_memory(bad) -> None:
    assert peak(bad.make()) < 2 * MIB


def test_a_large_good_file_takes_no_more_memory_than_a_small_one() -> None:
    plain = pictures.encoded("PNG")
    large = plain[:33] + pictures.chunk(b"tEXt", b"k\x00" + bytes(4 * MIB)) + plain[33:]

    assert peak(large) < peak(plain) + 256 * KIB


@on_linux
def test_the_memory_of_the_process_stays_flat() -> None:
    assert peak_of_process() < MOST


# The largest allowed size, and the largest size that is decoded completely.
LARGE = {
    "a JPEG": lambda: encoded("JPEG", picture(5_000, 5_000)),
    "a progressive JPEG": lambda: encoded("JPEG", picture(5_000, 5_000), progressive=True, subsampling=0),
    "a progressive JPEG that is decoded": lambda: encoded(
        "JPEG", picture(4_000, 2_000), progressive=True, subsampling=0
    ),
    "a progressive CMYK JPEG that is decoded": lambda: encoded(
        "JPEG", picture(3_000, 2_000, "CMYK"), progressive=True, subsampling=0
    ),
    "a PNG": lambda: encoded("PNG", picture(5_000, 5_000)),
    "a GIF": lambda: encoded("GIF", picture(5_000, 5_000, "P")),
    "a WebP": lambda: encoded("WEBP", picture(5_000, 5_000), method=0),
    "a WebP that is decoded": lambda: encoded("WEBP", picture(1_600, 1_600), method=0),
    "a lossless WebP that is decoded": lambda: encoded("WEBP", picture(1_600, 1_600), lossless=True, method=0),
}


@on_linux
@pytest.mark.parametrize("make", LARGE.values(), ids=list(LARGE))
def test_a_large_picture_is_not_held_in_memory(make, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(make())

    assert peak_of_process(path) < MOST


def covered(image: Image.Image) -> Image.Image:
    """With a channel of transparency that is not all opaque."""
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


# 25 megapixels; the second value is the width, or the reason of the refusal where converting would take more.
CONVERTED = {
    "a HEIC": (lambda: heic(picture(5_000, 5_000), quality=30), "5000"),
    "a HEIC without subsampling": (lambda: heic(picture(5_000, 5_000), quality=30, chroma=444), "5000"),
    "a HEIC with transparency": (lambda: heic(covered(picture(5_000, 5_000)), quality=30), "5000"),
    "an AVIF": (lambda: encoded("AVIF", picture(5_000, 5_000), speed=10), "5000"),
    "an AVIF without subsampling": (
        lambda: encoded("AVIF", picture(5_000, 5_000), speed=10, subsampling="4:4:4"),
        "5000",
    ),
    "an AVIF that is turned": (
        lambda: encoded("AVIF", picture(5_000, 5_000), speed=10, exif=pictures.gps(6)),
        "5000",
    ),
    "an AVIF with transparency": (
        lambda: encoded("AVIF", covered(picture(5_000, 5_000)), speed=10),
        "too_many_pixels",
    ),
    "a smaller AVIF with transparency": (
        lambda: encoded("AVIF", covered(picture(5_000, 4_200)), speed=10),
        "5000",
    ),
}


@on_linux
@pytest.mark.parametrize(("make", "outcome"), CONVERTED.values(), ids=list(CONVERTED))
def test_the_process_that_converts_takes_limited_memory(make, outcome: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(make())

    command = [sys.executable, "-c", PEAK_OF_CONVERSION, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()

    assert done[0] == outcome
    assert 50 * MB < int(done[1]) < MOST_OF_CONVERSION
