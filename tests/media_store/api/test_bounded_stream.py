"""A body is read up to its limit and not beyond it."""

import io

import pytest

from media_store.api.bounded_stream import BoundedStream


class TooLarge(Exception):
    pass


def test_a_body_of_exactly_the_limit_is_read() -> None:
    stream = BoundedStream(io.BytesIO(b"x" * 10), 10, TooLarge())

    assert [stream.read(4), stream.read(4), stream.read(4), stream.read(4)] == [b"xxxx", b"xxxx", b"xx", b""]


def test_one_byte_more_raises_the_given_error() -> None:
    stream = BoundedStream(io.BytesIO(b"x" * 11), 10, TooLarge())
    stream.read(8)

    with pytest.raises(TooLarge):
        stream.read(8)


def test_reading_all_at_once_is_bounded_too() -> None:
    with pytest.raises(TooLarge):
        BoundedStream(io.BytesIO(b"x" * 11), 10, TooLarge()).read()
