"""File storages in which a name identifies one content, and a file is complete or absent."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage

PARTIAL = "partial"
FILE_MODE, FOLDER_MODE = 0o600, 0o700
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalMediaStorage(FileSystemStorage):
    """A private folder. A file appears under its name once it is complete and flushed to disk."""

    def __init__(self, **options: Any) -> None:
        super().__init__(file_permissions_mode=FILE_MODE, directory_permissions_mode=FOLDER_MODE, **options)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: "File[bytes]") -> str:
        partial = Path(self.path(f"{PARTIAL}/{uuid4().hex}"))
        final = Path(self.path(name))
        self._make_folder(partial.parent)
        self._make_folder(final.parent)
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            _publish(partial, final)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(final.parent)
        return name

    def _make_folder(self, folder: Path) -> None:
        """Create each folder separately, because `mkdir` applies its mode only to the last one."""
        top = Path(self.location)
        for each in (*reversed([each for each in folder.parents if each.is_relative_to(top)]), folder):
            each.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def _publish(partial: Path, final: Path) -> None:
    """Give the file its name. If the name exists, it has the same content already."""
    try:
        with suppress(FileExistsError):
            os.link(partial, final)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        partial.replace(final)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class UnusableStorage(Storage):
    """Used when MEDIA_STORAGE_URL is invalid: a system check reports it, and no file is stored anywhere else."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ImproperlyConfigured(self.reason)

    exists = delete = listdir = get_modified_time = _open = _save = _refuse
