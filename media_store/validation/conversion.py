"""Converts HEIC and AVIF to JPEG in a process of its own (docs/decisions/0048-phone-pictures.md).

The decoders are large C and C++ libraries that read files of strangers: what they take of memory and time is limited by the
kernel, and what kills them kills nothing else. The process has no secrets in its environment, and its result is checked as an
upload is.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from media_store.errors import BadImage
from media_store.validation import isobmff
from media_store.validation.picture import ImageLimits, damaged

ROOT = Path(__file__).parents[2]
PROGRAM = "media_store.validation.jpeg_program"
SECONDS = 60  # by the clock; the program has a smaller limit of its own in CPU time
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH")
CODES = frozenset({"too_many_pixels", "damaged"})
# Sent by a service manager that stops a worker with all of its processes, or by a kernel without memory. The program's own
# limits raise other signals.
ENDED_FROM_OUTSIDE = frozenset({-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGKILL})


def to_jpeg(file: BinaryIO, target: BinaryIO, *, kind: str, limits: ImageLimits) -> None:
    """Write the first picture of `file` to `target` as an upright JPEG without metadata other than its colour profile.

    `kind` is HEIC or AVIF. Raises `BadImage`; an `OSError` says nothing of the file: the process could not be
    started, or was ended from outside.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        isobmff.check_whole(data)
    # The program shares the positions of both files, and leaves them alone.
    source, clean = file.fileno(), target.fileno()
    command = [sys.executable, "-m", PROGRAM, kind, str(source), str(clean), str(limits.pixels)]
    try:
        done = subprocess.run(  # noqa: S603 (numbers and names of our own)
            command,
            cwd=ROOT,
            env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(source, clean),
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        damaged("Reading it takes too long.")
    if done.returncode in ENDED_FROM_OUTSIDE:
        raise ChildProcessError(f"the conversion was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode != 0 or not os.fstat(clean).st_size:
        _refuse(done.stdout)


def _refuse(output: bytes) -> None:
    """Raises what the program said; a program that was killed said nothing."""
    try:
        code, detail = map(str, json.loads(output))
    except (ValueError, TypeError):
        code, detail = "", ""
    if code in CODES:
        raise BadImage(code, detail)
    damaged("It cannot be decoded.")
