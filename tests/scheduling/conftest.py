"""Fixtures of all tests of `scheduling`."""

import shutil
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path

import pytest
import tzdata

from messaging.models import OutboundQueue
from scheduling import zone_data
from tests.factories import NOW, QueueFactory, UserFactory


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def express(db) -> OutboundQueue:
    return QueueFactory()


@pytest.fixture(autouse=True)
def _lists_of_this_test(settings, tmp_path: Path) -> None:
    """An empty folder for the files of lists that wait to be saved."""
    local = {"BACKEND": "media_store.storage.LocalMediaStorage", "OPTIONS": {"location": str(tmp_path / "media")}}
    settings.STORAGES = {**settings.STORAGES, "media": local}


@pytest.fixture
def owner(db):
    return UserFactory()


@pytest.fixture
def install_release(tmp_path: Path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Installs a release of zone data in which zones have the rules of others: `install_release("2026f", {zone: other})`."""

    def install(release: str, rules: dict[str, str]) -> None:
        folder = tmp_path / release
        for name, other in rules.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(resources.files(tzdata) / "zoneinfo" / other), folder / name)
        zoneinfo.reset_tzpath([str(folder)])  # all other zones come from the package
        zoneinfo.ZoneInfo.clear_cache()
        monkeypatch.setattr(zone_data, "RELEASE", release)

    yield install
    zone_data.use_pinned()
