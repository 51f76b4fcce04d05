"""The files of an asset in the storage, named by its hash: at most two, and one for each smaller copy."""

import re
from collections.abc import Iterable
from typing import BinaryIO

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages

ORIGINAL, CLEAN = "original", "clean"
KINDS = (ORIGINAL, CLEAN)
RENDITION = "rendition"
SHA256 = re.compile(r"[0-9a-f]{64}")
SHA256_AND_PROFILE = re.compile(r"([0-9a-f]{64})-([a-z0-9-]{1,40})")


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


def remove(sha256: str, *, profiles: Iterable[str] = ()) -> None:
    """Delete both files, and the copies for these profiles; a missing one is not an error."""
    for kind in KINDS:
        storage().delete(name(kind, sha256))
    for profile in profiles:
        storage().delete(rendition_name(sha256, profile))


def rendition_name(sha256: str, profile: str) -> str:
    return name(RENDITION, f"{sha256}-{profile}")


def replace_rendition(sha256: str, profile: str, content: bytes) -> None:
    """Store a copy. A file of that name is one without a row, and may differ: another version made it."""
    stored_as = rendition_name(sha256, profile)
    storage().delete(stored_as)
    storage().save(stored_as, ContentFile(content, name=sha256))
