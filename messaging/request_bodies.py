"""Reading what comes over the wire, no more of it than we are ready to hold."""

from typing import Any

from django.core.exceptions import RequestDataTooBig


def read_bounded(stream: Any, limit: int) -> bytes:
    """The whole body, or `RequestDataTooBig` as soon as there is more than `limit` bytes of it."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise RequestDataTooBig
    return body
