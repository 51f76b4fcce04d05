"""The files of lists that wait to be saved: in the media storage, so that every host can read them, in encrypted pieces.

Each piece is stored behind its length, and says of which list it is, its number, and whether it is the last one: a piece that
was exchanged, repeated or cut off is noticed where the content is encrypted.
"""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO
from uuid import UUID

from django.core.files import File

from media_store.services import files
from messaging import encryption
from messaging.encryption import CannotBeOpened
from messaging.models.encrypted import keys
from scheduling.services.errors import ListUnreadable

FOLDER = "lists"
PIECE = 1_048_576
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">16sI?")  # the list's id, the number of the piece, whether it is the last one
_MAX_STORED = 2 * PIECE + 1_000  # Base64 adds a third


def put(list_id: UUID, stream: BinaryIO) -> None:
    """Store the rest of the stream."""
    with tempfile.TemporaryFile() as sealed:
        number, piece = 0, stream.read(PIECE)
        is_last = False
        while not is_last:
            following = stream.read(PIECE)
            is_last = not following
            content = encryption.seal_bytes(_HEAD.pack(list_id.bytes, number, is_last) + piece, keys())
            sealed.write(_LENGTH.pack(len(content)) + content)
            number, piece = number + 1, following
        sealed.seek(0)
        files.storage().save(_name(list_id), File(sealed, name=str(list_id)))


@contextmanager
def opened(list_id: UUID, *, pieces: int | None = None) -> Iterator[BinaryIO]:
    """Yield a seekable copy of the file, or of its first pieces. Raises `ListUnreadable`."""
    with tempfile.TemporaryFile() as copy:
        try:
            with files.storage().open(_name(list_id), "rb") as stored:
                for number, piece in enumerate(_pieces(list_id, stored), start=1):
                    copy.write(piece)
                    if number == pieces:
                        break
        except (CannotBeOpened, FileNotFoundError, struct.error):
            raise ListUnreadable("The file of this list cannot be read any more: upload it again.") from None
        copy.seek(0)
        yield copy


def remove(list_id: UUID) -> None:
    """Delete the file; a missing one is not an error."""
    files.storage().delete(_name(list_id))


def stored_ids() -> Iterator[UUID]:
    """Yield the ids of all lists that have a file."""
    try:
        names = files.storage().listdir(FOLDER)[1]
    except FileNotFoundError:  # there was none yet
        return
    for name in names:
        with suppress(ValueError):  # a file of another kind
            yield UUID(name)


def made_at(list_id: UUID) -> datetime:
    """The time in a UUIDv7."""
    return datetime.fromtimestamp((list_id.int >> 80) / 1000, UTC)


def _name(list_id: UUID) -> str:
    return f"{FOLDER}/{list_id}"


def _pieces(list_id: UUID, stored: "File[bytes]") -> Iterator[bytes]:
    number, is_last = 0, False
    while not is_last:
        [length] = _LENGTH.unpack(stored.read(_LENGTH.size))
        if length > _MAX_STORED:
            raise CannotBeOpened("a piece is too long")
        content = encryption.reveal_bytes(stored.read(length), keys())
        owner, found, is_last = _HEAD.unpack(content[: _HEAD.size])
        if (owner, found) != (list_id.bytes, number):
            raise CannotBeOpened("a piece is out of its place")
        yield content[_HEAD.size :]
        number += 1
