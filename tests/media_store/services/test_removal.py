"""delete() and sweep(): only images and files that are not needed are removed."""

import threading
from datetime import timedelta

import pytest
from django.db import models
from django.db.models.deletion import ProtectedError

from media_store import services, tasks
from media_store.errors import AssetInUse
from media_store.models import MediaAsset, MediaOwnership
from media_store.services import files, removal, storing
from tests.factories import UserFactory
from tests.media_store import pictures
from tests.media_store.folder import Folder
from tests.media_store.services.test_storing import file_name, store
from tests.messaging.parallel import at_once

PNG = pictures.encoded("PNG")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a message that has the image: the protecting foreign key is in another app."""

    def collect(self, objects, **_: object) -> None:
        raise ProtectedError("in use", set(objects))

    monkeypatch.setattr("media_store.services.removal.Collector.collect", collect)


@pytest.mark.django_db(transaction=True)
class TestDelete:
    def test_row_and_both_files_are_deleted(self, folder: Folder, owner, now) -> None:
        asset = store(pictures.with_metadata("JPEG"), owner, now).asset
        assert len(folder.names()) == 2

        services.delete(asset_id=asset.pk, owner=owner)

        assert not MediaAsset.objects.exists()
        assert not MediaOwnership.objects.exists()
        assert folder.names() == []

    def test_with_another_owner_only_the_ownership_is_deleted(self, folder: Folder, owner, now) -> None:
        other = UserFactory()
        asset = store(PNG, owner, now).asset
        store(PNG, other, now)

        services.delete(asset_id=asset.pk, owner=owner)

        assert list(asset.owners.all()) == [other]
        assert folder.names() == [file_name(PNG)]

    def test_without_an_owner_it_is_deleted_for_all(self, folder: Folder, owner, now) -> None:
        asset = store(PNG, owner, now).asset
        store(PNG, UserFactory(), now)

        services.delete(asset_id=asset.pk, owner=None)

        assert not MediaAsset.objects.exists()
        assert folder.names() == []

    @pytest.mark.parametrize("for_all", [True, False])
    def test_an_image_in_use_stays(self, folder: Folder, owner, now, in_use, for_all: bool) -> None:
        asset = store(PNG, owner, now).asset

        with pytest.raises(AssetInUse):
            services.delete(asset_id=asset.pk, owner=None if for_all else owner)

        assert list(asset.owners.all()) == [owner]
        assert folder.names() == [file_name(PNG)]

    def test_the_file_stays_until_the_row_is_deleted(self, folder: Folder, owner, now, monkeypatch) -> None:
        asset = store(PNG, owner, now).asset

        def fail(*_: object, **__: object) -> None:
            raise ConnectionError

        monkeypatch.setattr(models.Model, "delete", fail)
        with pytest.raises(ConnectionError):
            services.delete(asset_id=asset.pk, owner=owner)

        assert list(services.visible_to(owner)) == [asset]
        assert folder.names() == [file_name(PNG)]

    def test_an_unavailable_storage_leaves_the_file_to_the_sweep(
        self, folder: Folder, owner, now, monkeypatch, caplog
    ) -> None:
        asset = store(PNG, owner, now).asset
        with monkeypatch.context() as patch:
            patch.setattr(files, "remove", _unreachable)
            services.delete(asset_id=asset.pk, owner=owner)
        assert not MediaAsset.objects.exists()
        folder.age(file_name(PNG), now - HOUR - SECOND)

        assert services.sweep(now=now) == 1

        assert folder.names() == []

    def test_an_upload_between_the_row_and_the_file_keeps_the_file(
        self, folder: Folder, owner, now, monkeypatch
    ) -> None:
        asset = store(PNG, owner, now).asset
        discard = removal.discard

        def upload_first(sha256: str, **options: object) -> bool:
            store(PNG, owner, now)
            return discard(sha256, **options)

        monkeypatch.setattr(removal, "discard", upload_first)
        services.delete(asset_id=asset.pk, owner=owner)

        assert MediaAsset.objects.count() == 1
        assert folder.names() == [file_name(PNG)]

    def test_concurrent_uploads_and_deletions_never_leave_a_row_without_its_file(
        self, folder: Folder, owner, now
    ) -> None:
        def upload_and_delete() -> None:
            asset = store(PNG, owner, now).asset
            services.delete(asset_id=asset.pk, owner=None)

        outcomes = at_once([upload_and_delete, lambda: store(PNG, owner, now)] * 8)

        allowed = (type(None), storing.Stored, MediaAsset.DoesNotExist)
        assert [each for each in outcomes if not isinstance(each, allowed)] == []
        rows = list(MediaAsset.objects.values_list("sha256", flat=True))
        assert folder.names() == [file_name(PNG)] * len(rows)


@pytest.mark.django_db(transaction=True)
class TestSweep:
    def test_a_file_without_a_row_is_deleted_after_an_hour(self, folder: Folder, now) -> None:
        folder.write(file_name(PNG), PNG, at=now - HOUR)
        assert services.sweep(now=now) == 0
        assert folder.names() == [file_name(PNG)]

        assert services.sweep(now=now + SECOND) == 1

        assert folder.names() == []
        assert not MediaAsset.objects.exists()

    def test_files_with_a_row_stay_at_any_age(self, folder: Folder, owner, now) -> None:
        content = pictures.with_metadata("JPEG")
        store(content, owner, now)
        for kind in files.KINDS:
            folder.age(file_name(content, kind), now - timedelta(days=400))

        assert services.sweep(now=now) == 0

        assert folder.names() == [file_name(content, "clean"), file_name(content)]

    def test_partial_files_are_deleted_after_an_hour(self, folder: Folder, now) -> None:
        folder.write("partial/old", b"half", at=now - HOUR - SECOND)
        folder.write("partial/new", b"half", at=now)

        assert services.sweep(now=now) == 1

        assert folder.names() == ["partial/new"]

    def test_other_files_stay(self, folder: Folder, now) -> None:
        for name in ("original/ab/notes.txt", "elsewhere/file"):
            folder.write(name, b"x", at=now - timedelta(days=1))

        assert services.sweep(now=now) == 0

        assert folder.names() == ["elsewhere/file", "original/ab/notes.txt"]

    def test_an_empty_store_is_no_error(self, folder: Folder, now, db) -> None:
        assert services.sweep(now=now) == 0

    def test_the_sweep_removes_what_a_crash_while_writing_left(self, folder: Folder, owner, now, monkeypatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("media_store.storage._publish", _die)
            patch.setattr("media_store.storage.Path.unlink", lambda *_, **__: None)
            with pytest.raises(KeyboardInterrupt):
                store(PNG, owner, now)
        [partial] = folder.names()
        folder.age(partial, now - HOUR - SECOND)

        assert services.sweep(now=now) == 1

        assert folder.names() == []
        assert not MediaAsset.objects.exists()

    def test_an_upload_that_inserts_its_row_first_keeps_the_old_file(
        self, folder: Folder, owner, now, monkeypatch
    ) -> None:
        folder.write(file_name(PNG), PNG, at=now - timedelta(days=1))
        discard = removal.discard

        def upload_first(sha256: str, **options: object) -> bool:
            store(PNG, owner, now)
            return discard(sha256, **options)

        monkeypatch.setattr(removal, "discard", upload_first)

        assert services.sweep(now=now) == 0

        assert folder.names() == [file_name(PNG)]
        assert MediaAsset.objects.count() == 1

    def test_an_upload_during_the_removal_waits_and_writes_the_file_again(
        self, folder: Folder, owner, now, monkeypatch
    ) -> None:
        """The sweep removes the old file after the upload has found it and before it inserts its row."""
        folder.write(file_name(PNG), PNG, at=now - timedelta(days=1))
        found, removing = threading.Event(), threading.Event()
        insert, remove = storing._insert, files.remove

        def insert_late(*arguments: object) -> storing.Stored:
            found.set()
            assert removing.wait(30)
            return insert(*arguments)

        def remove_and_signal(sha256: str, **options: object) -> None:
            remove(sha256, **options)
            removing.set()

        monkeypatch.setattr(storing, "_insert", insert_late)
        monkeypatch.setattr(files, "remove", remove_and_signal)

        def sweep_late() -> int:
            assert found.wait(30)
            return services.sweep(now=now)

        stored, swept = at_once([lambda: store(PNG, owner, now), sweep_late])

        assert (stored.created, swept) == (True, 1)
        assert folder.names() == [file_name(PNG)]
        assert folder.read(file_name(PNG)) == PNG

    def test_beat_runs_the_sweep_hourly(self, settings, folder: Folder, now, monkeypatch) -> None:
        entry = settings.CELERY_BEAT_SCHEDULE["media"]
        assert (entry["task"], entry["schedule"]) == (tasks.sweep.name, 3600.0)
        folder.write(file_name(PNG), PNG, at=now - timedelta(days=3650))

        tasks.sweep()

        assert folder.names() == []


def _unreachable(*_: object, **__: object) -> None:
    raise ConnectionError


def _die(*_: object) -> None:
    raise KeyboardInterrupt
