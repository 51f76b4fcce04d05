"""Fixtures of the `media_store` tests: a time, an owner, and an empty media folder."""

from datetime import datetime
from pathlib import Path

import pytest

from tests.factories import NOW, UserFactory
from tests.media_store.folder import Folder


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def owner(db):
    return UserFactory()


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The folders of stored and temporary files, empty at the start."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    location = tmp_path / "media"
    local = {"BACKEND": "media_store.storage.LocalMediaStorage", "OPTIONS": {"location": str(location)}}
    settings.STORAGES = {**settings.STORAGES, "media": local}
    return Folder(location, temporary)
