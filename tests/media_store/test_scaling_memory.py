"""Making a smaller copy takes at most 250 MB, for the largest image of any kind that is accepted."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from media_store.errors import CannotScale
from media_store.scaling import PEAK_BYTES, Profile, scale
from tests.media_store.pictures import encoded, picture
from tests.media_store.validation.test_memory import on_linux

# Runs in a separate process: its peak memory in bytes while it scales a file, for which the libraries are loaded already.
PEAK = """
import io, re, sys
from pathlib import Path
from media_store.scaling import Profile, scale
from tests.media_store.pictures import KINDS

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

for name in ("image/jpeg", "image/png", "image/gif", "image/webp"):  # HEIC and AVIF are scaled as the JPEG that is made of them
    scale(io.BytesIO(KINDS[name]()), Profile(max_bytes=100_000))
Path("/proc/self/clear_refs").write_text("5")  # reset the peak
before = peak()
with open(sys.argv[1], "rb") as file:
    scale(file, Profile(max_bytes=300_000))
print(peak() - before)
"""


def transparent(width: int, height: int) -> Image.Image:
    image = picture(width, height, "RGBA")
    image.putalpha(Image.linear_gradient("L").resize((width, height)))
    return image


def progressive(width: int, height: int, mode: str) -> bytes:
    """With the most coefficients: none of its channels has a lower resolution."""
    return encoded("JPEG", picture(width, height, mode), progressive=True, subsampling=0)


# 25 megapixels each. JPEGs of 4,095 pixels a side are the largest that are decoded at their full size.
LARGE: dict[str, Callable[[], bytes]] = {
    "a JPEG": lambda: encoded("JPEG", picture(5_000, 5_000)),
    "a progressive JPEG": lambda: progressive(5_000, 5_000, "RGB"),
    "a progressive CMYK JPEG": lambda: progressive(5_000, 5_000, "CMYK"),
    "a progressive CMYK JPEG at its full size": lambda: progressive(4_095, 4_095, "CMYK"),
    "a PNG": lambda: encoded("PNG", picture(5_000, 5_000)),
    "a PNG with alpha": lambda: encoded("PNG", transparent(5_000, 5_000)),
    "a PNG with 16 bits of grey": lambda: encoded("PNG", picture(5_000, 5_000, "L").convert("I;16")),
    "a PNG with a palette and alpha": lambda: encoded("PNG", picture(5_000, 5_000, "P"), transparency=3),
    "a wide PNG": lambda: encoded("PNG", picture(25_000, 1_000)),
    "a GIF": lambda: encoded("GIF", picture(5_000, 5_000, "P")),
    "the largest WebP": lambda: encoded("WEBP", picture(3_450, 3_450), method=0),
    "the largest lossless WebP": lambda: encoded("WEBP", picture(3_450, 3_450), lossless=True, method=0),
}


@on_linux
@pytest.mark.parametrize("make", LARGE.values(), ids=list(LARGE))
def test_a_copy_of_25_megapixels_takes_at_most_250_megabytes(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(make())

    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, timeout=120
    )

    assert int(done.stdout) <= PEAK_BYTES


def test_a_webp_that_takes_more_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(encoded("WEBP", picture(3_600, 3_500), method=0))
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", None)

    with path.open("rb") as file, pytest.raises(CannotScale, match="more than 11,904,761 pixels"):
        scale(file, Profile(max_bytes=300_000))
