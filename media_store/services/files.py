"""The two files of an asset in the storage, named by its hash."""

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
    """Store the file, unless one of that name exists, which has the same content."""
    if not exists(kind, sha256):
        file.seek(0)
        storage().save(name(kind, sha256), File(file, name=sha256))


def exists(kind: str, sha256: str) -> bool:
    return storage().exists(name(kind, sha256))


def size(kind: str, sha256: str) -> int:
    """In bytes. Raises `OSError` if there is no such file."""
    return storage().size(name(kind, sha256))


def open_file(kind: str, sha256: str) -> "File[bytes]":
    return storage().open(name(kind, sha256), "rb")


def remove(sha256: str) -> None:
    """Delete both files; a missing one is not an error."""
    for kind in KINDS:
        storage().delete(name(kind, sha256))
