"""The two files of an asset in the storage, under names made of its hash."""

import re
from typing import BinaryIO

from django.core.files import File
from django.core.files.storage import Storage, storages

ORIGINAL, CLEAN = "original", "clean"
KINDS = (ORIGINAL, CLEAN)
SHA256 = re.compile(r"[0-9a-f]{64}")


def storage() -> Storage:
    return storages["media"]


def name(kind: str, sha256: str) -> str:
    return f"{kind}/{sha256[:2]}/{sha256}"


def put(kind: str, sha256: str, file: BinaryIO) -> None:
    """The file stands under its name when this returns; one that stands there already has the same content."""
    if not exists(kind, sha256):
        file.seek(0)
        storage().save(name(kind, sha256), File(file, name=sha256))


def exists(kind: str, sha256: str) -> bool:
    return storage().exists(name(kind, sha256))


def open_file(kind: str, sha256: str) -> "File[bytes]":
    return storage().open(name(kind, sha256), "rb")


def remove(sha256: str) -> None:
    """Both files; a missing one is no error."""
    for kind in KINDS:
        storage().delete(name(kind, sha256))
