"""Files of waiting lists: stored in pieces, encrypted where texts are, and refused if they were changed."""

import io
from uuid import UUID

import pytest
from django.core.files.storage import storages
from uuid_utils.compat import uuid7

from scheduling.services import list_files
from scheduling.services.errors import ListUnreadable

KEY = "2026a:" + "A" * 43 + "="
OTHER = "2027a:" + "B" * 43 + "="
CONTENT = b"to,name\n+14155550101,Ada\n"


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(list_files, "PIECE", 10)


@pytest.fixture
def stored(settings) -> UUID:
    """A list of three pieces under the key `2026a`."""
    settings.FIELD_ENCRYPTION_KEYS = [KEY]
    list_id = uuid7()
    list_files.put(list_id, io.BytesIO(CONTENT))
    return list_id


def read(list_id: UUID, **options) -> bytes:
    with list_files.opened(list_id, **options) as stream:
        return stream.read()


def raw(list_id: UUID) -> bytes:
    with storages["media"].open(f"lists/{list_id}") as file:
        return file.read()


def replace(list_id: UUID, content: bytes) -> None:
    storages["media"].delete(f"lists/{list_id}")
    storages["media"].save(f"lists/{list_id}", io.BytesIO(content))


@pytest.mark.parametrize("keys", [[], [KEY]], ids=["plain", "encrypted"])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_a_file_is_read_as_it_was_stored(settings, keys, size: int) -> None:
    settings.FIELD_ENCRYPTION_KEYS = keys
    list_id = uuid7()

    list_files.put(list_id, io.BytesIO(CONTENT[:size]))

    assert read(list_id) == CONTENT[:size]
    assert read(list_id, pieces=1) == CONTENT[: min(size, 10)]
    assert list(list_files.stored_ids()) == [list_id]


def test_with_keys_nothing_of_it_is_in_the_storage(stored) -> None:
    assert b"Ada" not in raw(stored)
    assert b"415555" not in raw(stored)


def test_after_a_rotation_the_old_key_still_opens_it(stored, settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OTHER, KEY]

    assert read(stored) == CONTENT


def test_without_its_key_it_cannot_be_read(stored, settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]

    with pytest.raises(ListUnreadable):
        read(stored)


@pytest.mark.parametrize("change", ["cut", "repeated", "exchanged", "bytes", "length", "empty", "missing"])
def test_a_changed_file_is_refused(stored, change: str) -> None:
    content = raw(stored)
    length = int.from_bytes(content[:4], "big") + 4
    first, second = content[:length], content[length : 2 * length]
    changed = {
        "cut": content[: 2 * length],
        "repeated": first + first + second,
        "exchanged": second + first + content[2 * length :],
        "bytes": content[:60] + bytes([content[60] ^ 1]) + content[61:],
        "length": b"\xff\xff\xff\xff" + content[4:],
        "empty": b"",
    }
    if change == "missing":
        list_files.remove(stored)
    else:
        replace(stored, changed[change])

    with pytest.raises(ListUnreadable):
        read(stored)


def test_the_file_of_another_list_is_refused(stored) -> None:
    other = uuid7()
    list_files.put(other, io.BytesIO(b"to\n"))

    replace(stored, raw(other))

    with pytest.raises(ListUnreadable):
        read(stored)


def test_without_any_list_there_are_no_files() -> None:
    assert list(list_files.stored_ids()) == []
