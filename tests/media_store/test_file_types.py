"""Recognition of files that are no images: by their content, within a few thousand octets."""

import io

import pytest

from media_store.content_types import EXTENSIONS, FILE_GROUPS, FILE_TYPES, types_of
from media_store.file_types import HEAD_BYTES, recognise
from tests.media_store.other_files import KINDS, NONE_OF_THEM


class Counted(io.BytesIO):
    """Counts the octets that are read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


def test_each_type_is_recognised() -> None:
    assert {name: recognise(io.BytesIO(content)) for name, (_, content) in KINDS.items()} == {
        name: content_type for name, (content_type, _) in KINDS.items()
    }
    assert {content_type for content_type, _ in KINDS.values()} == set(FILE_TYPES)


def test_other_files_are_not() -> None:
    assert {name: recognise(io.BytesIO(content)) for name, content in NONE_OF_THEM.items()} == dict.fromkeys(
        NONE_OF_THEM
    )


@pytest.mark.parametrize("name", ["vcard", "mp3 with a tag", "mp4"])
def test_a_large_file_is_not_read_whole(name: str) -> None:
    file = Counted(KINDS[name][1] + bytes(1_000_000))
    file.seek(500)

    assert recognise(file) == KINDS[name][0]
    assert file.taken <= 2 * HEAD_BYTES


def test_no_beginning_of_any_file_fails() -> None:
    for _, content in KINDS.values():
        for length in range(min(len(content), 60)):
            recognise(io.BytesIO(content[:length]))


def test_each_type_is_in_one_group_and_has_an_extension() -> None:
    assert sorted(name for names in FILE_GROUPS.values() for name in names) == sorted(FILE_TYPES)
    assert set(EXTENSIONS) == set(FILE_TYPES)
    assert types_of(["pdf", "vcard", "zip"]) == {"application/pdf", "text/vcard"}
