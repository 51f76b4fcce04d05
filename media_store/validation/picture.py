"""What is known of an image once its container has been read from the first byte to the last."""

from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from media_store.errors import BadImage

# An animation may show so many times the pixels of one picture, all its frames together.
ANIMATION_FACTOR = 10
# So many bytes of rows for each pixel that one picture may have, all frames together: they are inflated to be counted, which
# takes about a second for a hundred megabytes. The richest single picture has eight.
ROW_BYTES_FACTOR = 10
# Chunks, segments and blocks of one file: more of them than any encoder writes only cost us time and memory.
MAX_PARTS = 10_000


@dataclass(frozen=True)
class ImageLimits:
    pixels: int
    frames: int

    def check_size(self, width: int, height: int) -> None:
        if width <= 0 or height <= 0:
            damaged("It has no width or no height.")
        if width * height > self.pixels:
            raise BadImage("too_many_pixels", f"{width} x {height} is more than {self.pixels:,} pixels.")

    def check_frames(self, count: int, pixels: int) -> None:
        if count > self.frames:
            raise BadImage("too_many_frames", f"It has more than {self.frames:,} frames.")
        if pixels > self.pixels * ANIMATION_FACTOR:
            raise BadImage("too_many_pixels", f"Its frames have more than {self.pixels * ANIMATION_FACTOR:,} pixels.")

    def check_rows(self, count: int) -> None:
        """`count` in bytes, of all frames."""
        if count > self.pixels * ROW_BYTES_FACTOR:
            raise BadImage(
                "too_many_pixels", f"Its frames have more than {self.pixels * ROW_BYTES_FACTOR:,} bytes of rows."
            )


@dataclass(frozen=True)
class Cut:
    """Bytes from `start` to `end` that are left out of what is sent out; `instead` takes their place."""

    start: int
    end: int
    instead: bytes = b""


@dataclass(frozen=True)
class Picture:
    """`cuts` are in the order of the file and do not overlap; without any, the file has nothing to leave out."""

    width: int
    height: int
    frames: int = 1
    is_progressive: bool = False
    cuts: list[Cut] = field(default_factory=list)


class Data(Protocol):
    """The file as a memory map, or bytes: it is read where it is looked at and never copied whole."""

    def __len__(self) -> int: ...

    def __getitem__(self, at): ...


class Parts:
    """Counts the parts of a file, so that a million empty ones are refused before they are read."""

    def __init__(self) -> None:
        self._count = 0

    def another(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            damaged("It is made of too many parts.")


def read(data: Data, start: int, length: int) -> bytes:
    """Exactly so many bytes; raises `BadImage` where the file ends before."""
    if start + length > len(data):
        truncated()
    return data[start : start + length]


def truncated() -> NoReturn:
    raise BadImage("truncated", "The file ends before the image does.")


def damaged(detail: str) -> NoReturn:
    raise BadImage("damaged", f"The image is damaged. {detail}")


def check_end(data: Data, end: int) -> None:
    if end != len(data):
        raise BadImage("foreign_data", "Something else follows after the image.")
