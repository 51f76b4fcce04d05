"""The result of reading a container, the limits, and the errors that readers raise."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from media_store.errors import BadImage

# All frames of an animation together may have this many times the pixels of one image.
ANIMATION_FACTOR = 10
# All frames together may have this many bytes of rows for each allowed pixel: they are inflated to be counted, which takes
# about a second for a hundred megabytes. A single image has at most eight.
ROW_BYTES_FACTOR = 10
# Chunks, segments and blocks of one file. No encoder writes more; they would only cost time and memory.
MAX_PARTS = 10_000
PIECE = 64 * 1024
Data = mmap.mmap  # the file, never copied whole


@dataclass(frozen=True)
class ImageLimits:
    """The maximum size of an image in pixels, and the maximum number of frames. The checks raise `BadImage`."""

    pixels: int
    frames: int

    def check_size(self, width: int, height: int) -> None:
        if width * height > self.pixels:
            raise BadImage(
                "too_many_pixels",
                f"The picture has {width} x {height} pixels; at most {self.pixels:,} are accepted. Make it smaller first.",
            )

    def check_frames(self, count: int, pixels: int) -> None:
        """`pixels` of all frames together."""
        if count > self.frames:
            raise BadImage("too_many_frames", f"The animation has more than {self.frames:,} frames. Shorten it first.")
        if pixels > self.pixels * ANIMATION_FACTOR:
            raise BadImage(
                "too_many_pixels",
                f"The frames of the animation have more than {self.pixels * ANIMATION_FACTOR:,} pixels together. "
                "Make it smaller or shorter first.",
            )

    def check_rows(self, count: int) -> None:
        """`count` in bytes, of all frames."""
        if count > self.pixels * ROW_BYTES_FACTOR:
            raise BadImage(
                "too_many_pixels",
                f"The frames of the animation have more than {self.pixels * ROW_BYTES_FACTOR:,} bytes of rows together. "
                "Make it smaller or shorter first.",
            )


@dataclass(frozen=True)
class Cut:
    """Bytes from `start` to `end` that are replaced by `instead` in the clean copy."""

    start: int
    end: int
    instead: bytes = b""


@dataclass(frozen=True)
class Container:
    """`cuts` are in the order of the file and do not overlap; without any, the file has no metadata."""

    frames: int = 1
    cuts: list[Cut] = field(default_factory=list)


class Parts:
    """Counts the parts of a file, so that a million empty ones are refused before they are read."""

    def __init__(self) -> None:
        self._count = 0

    def another(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            damaged("It has too many parts.")


def read(data: Data, start: int, length: int) -> bytes:
    """Exactly `length` bytes; raises `BadImage` if the file ends before that."""
    if start + length > len(data):
        truncated()
    return data[start : start + length]


def pieces(data: Data, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, at most 64 KiB at a time."""
    for at in range(start, end, PIECE):
        yield data[at : min(at + PIECE, end)]


def truncated() -> NoReturn:
    raise BadImage("truncated", "The picture is incomplete: the file ends in the middle. Upload it again.")


def damaged(detail: str) -> NoReturn:
    """`detail` is a sentence whose subject is the picture: "It has …"."""
    raise BadImage("damaged", f"The picture is damaged. {detail} Save it again in a photo app, and upload that file.")


def tail(data: Data, end: int) -> list[Cut]:
    """What stands behind the end of the image, such as a phone's trailer or a second picture; empty if nothing does."""
    return [Cut(end, len(data))] if end < len(data) else []
