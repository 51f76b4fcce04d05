"""Store an upload: spool it to disk, validate it, strip metadata, deduplicate by SHA-256.

The files are written before the row. The unique hash serialises uploads, deletions and sweeps of the same content: each
inserts a row with the hash, or tries to, and so waits for the others.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import BinaryIO

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from media_store import file_types
from media_store.content_types import is_image
from media_store.errors import FileNotAccepted, FileTooLarge, NotAnImage
from media_store.models import MediaAsset
from media_store.services import files, renditions
from media_store.services.access import grant
from media_store.validation import ImageLimits, validate

CHUNK_BYTES = 64 * 1024
INSERT_ATTEMPTS = 3


@dataclass(frozen=True)
class Stored:
    """`created` is False when the same content was already stored."""

    asset: MediaAsset
    created: bool


@dataclass(frozen=True)
class _Received:
    """Both files are open and have no name, so that they vanish when the process ends in any way."""

    asset: MediaAsset
    original: BinaryIO
    clean: BinaryIO

    def put_files(self) -> None:
        files.put(files.ORIGINAL, self.asset.sha256, self.original)
        if self.asset.clean_size is not None:
            files.put(files.CLEAN, self.asset.sha256, self.clean)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """The content of an open file in the form that `store` takes."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def store(*, owner: User | None, stream: Iterable[bytes], now: datetime, allow_files: Collection[str] = ()) -> Stored:
    """Store the image that `stream` yields in chunks, and make `owner`, if given, one of its owners.

    With `allow_files`, files of these media types are taken too, and stored as they came. Raises `FileTooLarge` as soon as the
    limit is exceeded, `NotAnImage`, `BadImage`, or `FileNotAccepted` for a file of another type; then nothing is stored.
    """
    with TemporaryFile() as original, TemporaryFile() as clean:
        sha256, size = _receive(stream, original)
        known = _grant_known(sha256, owner, allow_files)
        if known is not None:
            return Stored(known, created=False)
        asset = _file(original, allow_files, sha256=sha256, size=size, now=now)
        if asset is None:
            asset = _validate(original, clean, sha256=sha256, size=size, now=now)
        received = _Received(asset, original, clean)
        received.put_files()
        return _insert(received, owner)


def _receive(stream: Iterable[bytes], target: BinaryIO) -> tuple[str, int]:
    """Write the stream to `target`; return its SHA-256 and size."""
    digest, size = hashlib.sha256(), 0
    for chunk in stream:
        size += len(chunk)
        if size > settings.MEDIA_MAX_BYTES:
            raise FileTooLarge(settings.MEDIA_MAX_BYTES)
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    return digest.hexdigest(), size


def _grant_known(sha256: str, owner: User | None, allow_files: Collection[str]) -> MediaAsset | None:
    """Return the stored asset of this hash and add the owner; None when it is missing or its files are.

    Raises as for the first upload of a file that came in with a text: the caller may take images only.
    """
    with transaction.atomic():
        asset = MediaAsset.objects.select_for_update().filter(sha256=sha256).first()
        if asset is None or not _is_whole(asset):
            return None
        if not is_image(asset.content_type) and asset.content_type not in allow_files:
            raise FileNotAccepted(asset.content_type) if allow_files else NotAnImage
        if owner is not None:
            grant(asset, owner)
    return asset


def _is_whole(asset: MediaAsset) -> bool:
    """Whether the files are stored. Lost copies for providers do not count: without their rows they are made again."""
    renditions.drop_lost(asset)
    kinds = (files.ORIGINAL,) if asset.clean_size is None else files.KINDS
    return all(files.exists(kind, asset.sha256) for kind in kinds)


def _file(
    original: BinaryIO, allow_files: Collection[str], *, sha256: str, size: int, now: datetime
) -> MediaAsset | None:
    """Return the unsaved row for a file that is no image; None for one that has to be. Raises if its type is not taken."""
    content_type = file_types.recognise(original) if allow_files else None
    if content_type is None:
        return None
    if content_type not in allow_files:
        raise FileNotAccepted(content_type)
    return MediaAsset(sha256=sha256, content_type=content_type, size=size, created_at=now)


def _validate(original: BinaryIO, clean: BinaryIO, *, sha256: str, size: int, now: datetime) -> MediaAsset:
    """Return the unsaved row for the file; write the copy that goes out to `clean` if it differs from the original."""
    limits = ImageLimits(pixels=settings.MEDIA_MAX_PIXELS, frames=settings.MEDIA_MAX_FRAMES)
    picture = validate(original, clean, limits)
    return MediaAsset(
        sha256=sha256,
        content_type=picture.format.content_type,
        size=size,
        clean_size=picture.clean_size,
        clean_content_type=picture.clean_content_type,
        width=picture.width,
        height=picture.height,
        frames=picture.frames,
        created_at=now,
    )


def _correct_copy(asset: MediaAsset, received: MediaAsset) -> None:
    """Another version of the program may have made another copy: of a row whose files were lost, or the file that is stored.

    The row is locked, so that the file stays.
    """
    size = None if received.clean_size is None else files.size(files.CLEAN, received.sha256)
    found = (size, received.clean_content_type)
    if (asset.clean_size, asset.clean_content_type) != found:
        asset.clean_size, asset.clean_content_type = found
        asset.save(update_fields=["clean_size", "clean_content_type"])


def _insert(received: _Received, owner: User | None) -> Stored:
    for _ in range(INSERT_ATTEMPTS):
        with transaction.atomic():
            MediaAsset.objects.bulk_create([received.asset], ignore_conflicts=True)
            asset = MediaAsset.objects.select_for_update().filter(sha256=received.asset.sha256).first()
            if asset is None:  # another row had the hash, and was deleted between the two statements
                continue
            # A deletion or sweep may have removed the files before the insert; the locked row prevents it from now on.
            received.put_files()
            _correct_copy(asset, received.asset)
            if owner is not None:
                grant(asset, owner)
            return Stored(asset, created=asset.pk == received.asset.pk)
    raise MediaAsset.DoesNotExist(f"{received.asset.sha256} is deleted each time it is stored")
