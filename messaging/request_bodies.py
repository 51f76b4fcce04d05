"""Read request bodies with a limit, and check JSON before it is parsed."""

from typing import Protocol

from django.core.exceptions import RequestDataTooBig


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def read_bounded(stream: _Readable, limit: int) -> bytes:
    """Return the whole body. Raises `RequestDataTooBig` after reading more than `limit` bytes."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body


_STARTS = (b"[", b"{", b",")
_PIECE = 64 * 1024


def has_too_many_values(body: bytes, limit: int) -> bool:
    """Whether a JSON text has more than `limit` values. Use it before parsing: a value takes more memory than its text.

    Keys do not count, only their values. Text that is not JSON is counted as if it were.
    """
    if _starts(body) <= limit:  # strings may contain commas, so only a high count needs the exact check
        return False
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    found, in_string = 0, False
    for start in range(0, len(text), _PIECE):
        parts = text[start : start + _PIECE].split(b'"')
        found += _starts(b"".join(parts[in_string::2]))
        in_string ^= len(parts) % 2 == 0
        if found > limit:
            return True
    return False


def _starts(text: bytes) -> int:
    return sum(text.count(character) for character in _STARTS)
