"""Whatever is sent, looking at it takes no memory to speak of."""

import subprocess
import sys
import tracemalloc

import pytest

from media_store import validation
from media_store.errors import MediaError
from tests.media_store import pictures
from tests.media_store.bad_files import CORPUS
from tests.media_store.validation.opened import LIMITS, on_disk

KIB, MIB = 1024, 1024 * 1024
# In a process of its own, whose peak is nobody else's: all bad files, one after the other.
PEAK_OF_ALL = """
import resource
from media_store import validation
from media_store.errors import MediaError
from tests.media_store.bad_files import CORPUS
from tests.media_store.validation.opened import inspect
from tests.media_store import pictures

for kind in ("JPEG", "PNG", "GIF", "WEBP"):
    inspect(pictures.encoded(kind))
files = [bad.make() for bad in CORPUS.values()]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for content in files:
    try:
        inspect(content)
    except MediaError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak(content: bytes) -> int:
    """Bytes that Python has taken to inspect it."""
    with on_disk(content) as file:
        tracemalloc.start()
        try:
            validation.inspect(file, LIMITS)
        except MediaError:
            pass
        finally:
            taken = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return taken


@pytest.mark.parametrize("bad", CORPUS.values(), ids=list(CORPUS))
def test_a_bad_file_takes_little(bad) -> None:
    assert peak(bad.make()) < 2 * MIB


def test_a_large_good_file_takes_as_little_as_a_small_one() -> None:
    plain = pictures.encoded("PNG")
    large = plain[:33] + pictures.chunk(b"tEXt", b"k\x00" + bytes(4 * MIB)) + plain[33:]

    assert peak(large) < peak(plain) + 256 * KIB


def test_the_whole_process_stays_flat() -> None:
    run = subprocess.run([sys.executable, "-c", PEAK_OF_ALL], capture_output=True, text=True, check=True, timeout=120)

    assert int(run.stdout) * KIB < 48 * MIB


def test_a_large_progressive_jpeg_is_not_held_in_memory(tmp_path) -> None:
    """All of its coefficients would be: six bytes for each of its pixels."""
    path = tmp_path / "large.jpg"
    path.write_bytes(pictures.encoded("JPEG", pictures.picture(5_000, 5_000), progressive=True, subsampling=0))
    one_file = PEAK_OF_ALL.replace("[bad.make() for bad in CORPUS.values()]", f"[open({str(path)!r}, 'rb').read()]")
    run = subprocess.run([sys.executable, "-c", one_file], capture_output=True, text=True, check=True)

    assert int(run.stdout) * KIB < 48 * MIB
