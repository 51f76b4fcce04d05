"""Reading what comes over the wire, no more of it than we are ready to hold."""

from typing import Any

from django.core.exceptions import RequestDataTooBig


def read_bounded(stream: Any, limit: int) -> bytes:
    """The whole body, or `RequestDataTooBig` as soon as there is more than `limit` bytes of it."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body


_STARTS = (b"[", b"{", b",")
_PIECE = 64 * 1024


def has_too_many_values(body: bytes, limit: int) -> bool:
    """Whether a JSON text has more than `limit` values, counted before it is parsed: a value takes more memory than its text.

    Keys do not count, the value behind each does. What is no JSON is counted as if it were.
    """
    if _starts(body) <= limit:  # commas may stand in texts, too: look closer only where there are many
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
