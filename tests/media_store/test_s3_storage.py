"""The media store in a bucket: real requests by boto3 to a server on loopback."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import storages

from media_store import services, storage_address
from media_store.models import MediaAsset
from media_store.services import files
from tests.media_store import pictures
from tests.media_store.fake_s3 import Bucket, FakeS3
from tests.media_store.services.test_storing import file_name, store

CONTENT = pictures.with_metadata("JPEG")


@pytest.fixture
def bucket(settings) -> Iterator[Bucket]:
    with FakeS3() as server:
        entry = storage_address.storage(server.address, local_folder=Path("/nowhere"))
        settings.STORAGES = {**settings.STORAGES, "media": entry}
        yield server.bucket
        storages["media"].connection.meta.client.close()


def test_files_are_stored_below_the_prefix_and_read_back_unchanged(bucket: Bucket, owner, now) -> None:
    asset = store(CONTENT, owner, now).asset

    assert sorted(bucket.objects) == [f"sms/{file_name(CONTENT, 'clean')}", f"sms/{file_name(CONTENT)}"]
    assert bucket.objects[f"sms/{file_name(CONTENT)}"] == CONTENT
    with files.open_file(files.ORIGINAL, asset.sha256) as file:
        assert file.read() == CONTENT
    with files.open_file(files.CLEAN, asset.sha256) as file:
        assert len(file.read()) == asset.clean_size


def test_a_second_upload_sends_nothing(bucket: Bucket, owner, now) -> None:
    store(CONTENT, owner, now)
    bucket.calls.clear()

    assert not store(CONTENT, owner, now).created

    assert {call.split()[0] for call in bucket.calls} == {"HEAD"}


@pytest.mark.django_db(transaction=True)
def test_deleting_removes_both_objects(bucket: Bucket, owner, now) -> None:
    asset = store(CONTENT, owner, now).asset

    services.delete(asset_id=asset.pk, owner=owner)

    assert bucket.objects == {}
    assert not MediaAsset.objects.exists()


def test_the_sweep_removes_old_objects_without_a_row(bucket: Bucket, owner, now) -> None:
    png = pictures.encoded("PNG")
    store(CONTENT, owner, now)
    for name, age in ((file_name(png), timedelta(hours=2)), (file_name(b"new"), timedelta())):
        bucket.objects[f"sms/{name}"] = b"x"
        bucket.modified[f"sms/{name}"] = now - age
    for kind in files.KINDS:
        bucket.modified[f"sms/{file_name(CONTENT, kind)}"] = now - timedelta(days=9)

    assert services.sweep(now=now) == 1

    assert sorted(bucket.objects) == sorted(
        [f"sms/{file_name(CONTENT, 'clean')}", f"sms/{file_name(CONTENT)}", f"sms/{file_name(b'new')}"]
    )
