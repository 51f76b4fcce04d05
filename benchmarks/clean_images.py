"""Compare two ways to remove metadata from images: cutting it out of the container (ours), or re-encoding by Pillow.

    python -m benchmarks.clean_images [--only NAME …]

Each file runs in its own process, to read its peak memory (VmHWM, Linux only). Prints memory as a share of the tests' limit
(48 MiB), time as the ratio of Pillow to ours, size as the ratio of Pillow to the original, and the bad files of the tests
that Pillow accepts. A run of all files writes benchmarks/results/clean_images.json.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import Image, ImageChops, ImageSequence

from benchmarks.image_files import FILES
from media_store import validation
from media_store.validation import CONTENT_TYPES, ImageLimits
from tests.media_store import pictures
from tests.media_store.bad_files import CORPUS

RESULTS = Path(__file__).parent / "results" / "clean_images.json"
LIMITS = ImageLimits(pixels=25_000_000, frames=500)
BOUND_MB = 48
PILLOW_FORMATS = [kind.name for kind in CONTENT_TYPES.values() if kind.walk]
BAD = [name for name, bad in CORPUS.items() if bad.code != "file_too_large"]
INFO = ("icc_profile", "gamma", "loop", "transparency")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(FILES))
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        method, path = arguments.one
        print(json.dumps(run(method, Path(path))))
        return
    print(f"{'':26} {'bytes':>9} {'memory':>7} {'Pillow':>7} {'time':>6} {'size':>6}  changed by Pillow")
    rows = [row(name) for name in arguments.only]
    accepted = {check.__name__: [name for name in BAD if is_accepted(name, check)] for check in (verify, load)}
    for check, names in accepted.items():
        print(f"\nPillow's {check} accepts {len(names)} of {len(BAD)} bad files: {', '.join(names)}")
    if arguments.only != list(FILES):
        return
    found = {"measured_at": datetime.now(UTC).isoformat(), "rows": rows, "accepted_by_pillow": accepted}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def row(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(FILES[name]())
        before = path.read_bytes()
        found = {method: in_own_process(method, path) for method in METHODS}
        changes = {method: compare(before, Path(f"{path}.{method}").read_bytes()) for method in METHODS}
    ours, pillow = found["ours"], found["pillow"]
    ratios = {
        "memory_ours": ours["peak_mb"] / BOUND_MB,
        "memory_pillow": pillow["peak_mb"] / BOUND_MB,
        "time": pillow["cpu_seconds"] / ours["cpu_seconds"],
        "size": pillow["bytes"] / len(before),
    }
    print(
        f"{name:26} {len(before):>9} {ratios['memory_ours']:>7.2f} {ratios['memory_pillow']:>7.2f} {ratios['time']:>6.0f}"
        f" {ratios['size']:>6.2f}  {changes['pillow']}" + (f" (ours: {changes['ours']})" if changes["ours"] else ""),
        flush=True,
    )
    return {"file": name, "bytes": len(before), **found, "ratios": ratios, "changed": changes}


def in_own_process(method: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.clean_images", "--one", method, str(path)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def run(method: str, path: Path) -> dict[str, float]:
    for name, kind in CONTENT_TYPES.items():  # load what a process loads only once
        if kind.walk is None:
            continue
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(pictures.KINDS[name]())
            source.flush()
            METHODS[method](source, target)
    before, started = peak_bytes(), time.process_time()
    with path.open("rb") as source, Path(f"{path}.{method}").open("w+b") as target:
        METHODS[method](source, target)
        seconds = time.process_time() - started
        size = target.seek(0, io.SEEK_END)
        if not size:  # there was nothing to remove
            target.write(path.read_bytes())
    return {"peak_mb": (peak_bytes() - before) / 1024**2, "cpu_seconds": seconds, "bytes": size or path.stat().st_size}


def peak_bytes() -> int:
    """The peak of this process since its program started; `ru_maxrss` would include the parent's before the fork."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


def ours(source: BinaryIO, target: BinaryIO) -> None:
    validation.validate(source, target, LIMITS)


def by_pillow(source: BinaryIO, target: BinaryIO) -> None:
    """Re-encode as exactly as Pillow's options allow: same JPEG quantisation, lossless WebP, duration of each frame."""
    source.seek(0)
    with Image.open(source) as image:
        if image.format == "JPEG":
            options: dict[str, Any] = {"quality": "keep"}
        else:
            options = {"lossless": True, "exact": True, "method": 0}
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            options |= {"save_all": True, "duration": durations(image), "loop": image.info.get("loop")}
            # Pillow returns composed frames, in which disposal is already applied.
            options |= {"disposal": 0, "blend": 0} if image.format == "PNG" else {"disposal": 1}
        kept = {name: value for name, value in options.items() if value is not None}
        image.save(target, image.format, icc_profile=image.info.get("icc_profile"), **kept)
    target.flush()


METHODS: dict[str, Callable[[BinaryIO, BinaryIO], None]] = {"ours": ours, "pillow": by_pillow}


def durations(image: Image.Image) -> list[float]:
    """In milliseconds."""
    found = []
    for frame in ImageSequence.Iterator(image):
        frame.load()
        found.append(frame.info.get("duration", 0))
    image.seek(0)
    return found


def compare(before: bytes, after: bytes) -> str:
    """Describe how the second file differs from the first: frames, pixels, bits, colours, durations."""
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
        frames, others = getattr(old, "n_frames", 1), getattr(new, "n_frames", 1)
        changes = [f"{others} of {frames} frames"] if frames != others else []
        far, times = [], []
        for number in range(min(frames, others)):
            old.seek(number)
            new.seek(number)
            far.append(distance(old, new))
            times.append([each.info.get("duration", 0) for each in (old, new)])
        if any(far):
            changes.append(f"pixels of {sum(map(bool, far))} of {frames} (by up to {max(far)} of 255)")
        # Equal frames in a row may have become one that is shown as long.
        if sum(old for old, _ in times) != sum(new for _, new in times):
            changes.append("times")
        if old.format == "PNG" and before[24] != after[24]:
            changes.append(f"{before[24]} bits are {after[24]}")
        changes += [name for name in INFO if old.info.get(name) != new.info.get(name)]
    return "; ".join(changes)


def distance(old: Image.Image, new: Image.Image) -> int:
    """The largest difference of a channel of a pixel, of 255."""
    if old.mode == new.mode == "I;16":
        return 0 if old.tobytes() == new.tobytes() else 255
    one, other = (each if each.mode == "CMYK" else each.convert("RGBA") for each in (old, new))
    difference = ImageChops.difference(one, other)
    extrema = [cast("tuple[int, int]", band.getextrema()) for band in difference.split()]  # a pair for a single band
    return max(high for _, high in extrema)


def is_accepted(name: str, check: Callable[[Image.Image], None]) -> bool:
    """Whether Pillow accepts the content of the file, within our limits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(CORPUS[name].make()), formats=PILLOW_FORMATS) as image:
                frames = getattr(image, "n_frames", 1)
                LIMITS.check_size(*image.size)
                LIMITS.check_frames(frames, image.width * image.height * frames)
                check(image)
        except Exception:  # noqa: BLE001 (of any kind)
            return False
    return True


def verify(image: Image.Image) -> None:
    image.verify()


def load(image: Image.Image) -> None:
    """All frames."""
    for frame in ImageSequence.Iterator(image):
        frame.load()


if __name__ == "__main__":
    main()
