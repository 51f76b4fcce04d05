"""make(): one row and one file for each image and profile, which go with the image."""

import io
import threading
from datetime import timedelta

import pytest
from django.db import connection
from PIL import Image

from media_store import scaling, services
from media_store.errors import CannotScale, DecoderBusy
from media_store.models import MediaAsset, MediaRendition
from media_store.scaling import Profile
from media_store.services import files, removal, renditions
from media_store.validation.decoding import ONE_AT_A_TIME
from tests.media_store import pictures
from tests.media_store.folder import Folder
from tests.media_store.services.test_storing import file_name, store
from tests.messaging.parallel import at_once

PNG = pictures.encoded("PNG")
SMALL, SMALLER = Profile(max_side=20), Profile(max_side=16)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def copy_name(content: bytes, profile: Profile = SMALL) -> str:
    return f"{file_name(content, 'rendition')}-{profile.name}"


def test_the_row_describes_the_file(folder: Folder, owner, now) -> None:
    asset = store(PNG, owner, now).asset

    made = services.make_rendition(asset, SMALL, now=now)

    assert MediaRendition.objects.get() == made
    assert (made.asset, made.profile, made.created_at) == (asset, "20px-jpeg", now)
    assert (made.content_type, made.width, made.height) == ("image/jpeg", 20, 15)
    content = folder.read(copy_name(PNG))
    assert made.size == len(content)
    assert Image.open(io.BytesIO(content)).size == (20, 15)
    assert folder.names() == [file_name(PNG), copy_name(PNG)]


def test_it_is_made_of_the_copy_without_metadata(folder: Folder, owner, now) -> None:
    content = pictures.with_metadata("JPEG")
    asset = store(content, owner, now).asset
    (folder.location / file_name(content)).unlink()

    services.make_rendition(asset, SMALL, now=now)

    assert pictures.CAMERA.encode() not in folder.read(copy_name(content))


def test_it_is_made_once_for_each_profile(owner, now, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = store(PNG, owner, now).asset
    made = services.make_rendition(asset, SMALL, now=now)
    other = services.make_rendition(asset, SMALLER, now=now)
    monkeypatch.setattr(scaling, "scale", None)  # not called again

    assert services.make_rendition(asset, SMALL, now=now + HOUR) == made
    assert services.profiles_of([asset.pk]) == {(asset.pk, made.profile), (asset.pk, other.profile)}


def test_nothing_is_stored_of_one_that_cannot_be_made(folder: Folder, owner, now) -> None:
    asset = store(PNG, owner, now).asset
    folder.write(file_name(PNG), PNG[:60], at=now)

    with pytest.raises(CannotScale):
        services.make_rendition(asset, SMALL, now=now)

    assert not MediaRendition.objects.exists()
    assert folder.names() == [file_name(PNG)]
    assert ONE_AT_A_TIME.acquire(blocking=False)
    ONE_AT_A_TIME.release()


def test_while_another_image_is_decoded_it_does_not_wait(folder: Folder, owner, now) -> None:
    asset = store(PNG, owner, now).asset
    made = services.make_rendition(asset, SMALL, now=now)

    with ONE_AT_A_TIME:
        with pytest.raises(DecoderBusy):
            services.make_rendition(asset, SMALLER, now=now)
        assert services.make_rendition(asset, SMALL, now=now) == made

    assert folder.names() == [file_name(PNG), copy_name(PNG)]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_no_transaction_is_open_while_the_image_is_scaled(self, owner, now, monkeypatch) -> None:
        asset, seen, scale = store(PNG, owner, now).asset, [], scaling.scale

        def observed(*arguments):
            seen.append(connection.in_atomic_block)
            return scale(*arguments)

        monkeypatch.setattr(scaling, "scale", observed)
        services.make_rendition(asset, SMALL, now=now)

        assert seen == [False]

    def test_two_workers_make_one_row_and_one_file(self, folder: Folder, owner, now, monkeypatch) -> None:
        """Workers are processes with a right of their own to decode; both have scaled before either writes."""
        asset, both = store(PNG, owner, now).asset, threading.Barrier(2)
        scale = scaling.scale

        def together(*arguments):
            scaled = scale(*arguments)
            both.wait(30)
            return scaled

        monkeypatch.setattr(renditions, "ONE_AT_A_TIME", threading.BoundedSemaphore(2))
        monkeypatch.setattr(scaling, "scale", together)
        one, other = at_once([lambda: services.make_rendition(asset, SMALL, now=now)] * 2)

        assert one == other == MediaRendition.objects.get()
        assert folder.names() == [file_name(PNG), copy_name(PNG)]

    def test_an_image_that_is_deleted_meanwhile_leaves_nothing(self, folder: Folder, owner, now, monkeypatch) -> None:
        asset, scale = store(PNG, owner, now).asset, scaling.scale

        def delete_first(*arguments):
            scaled = scale(*arguments)
            services.delete(asset_id=asset.pk, owner=owner)
            return scaled

        monkeypatch.setattr(scaling, "scale", delete_first)
        with pytest.raises(MediaAsset.DoesNotExist):
            services.make_rendition(asset, SMALL, now=now)

        assert not MediaRendition.objects.exists()
        assert folder.names() == []

    def test_deletions_and_makers_at_once_leave_no_row_without_its_file(
        self, folder: Folder, owner, now, monkeypatch
    ) -> None:
        monkeypatch.setattr(renditions, "ONE_AT_A_TIME", threading.BoundedSemaphore(8))

        def make() -> None:
            services.make_rendition(store(PNG, owner, now).asset, SMALL, now=now)

        def delete() -> None:
            services.delete(asset_id=store(PNG, owner, now).asset.pk, owner=None)

        outcomes = at_once([make, delete] * 4)
        services.sweep(now=now + timedelta(days=36_500))

        allowed = (type(None), MediaAsset.DoesNotExist)
        assert [each for each in outcomes if not isinstance(each, allowed)] == []
        originals = [file_name(PNG)] * MediaAsset.objects.count()
        assert folder.names() == originals + [copy_name(PNG)] * MediaRendition.objects.count()


@pytest.mark.django_db(transaction=True)
class TestRemoval:
    def test_copies_are_deleted_with_their_image(self, folder: Folder, owner, now) -> None:
        asset = store(PNG, owner, now).asset
        for profile in (SMALL, SMALLER):
            services.make_rendition(asset, profile, now=now)
        assert len(folder.names()) == 3

        services.delete(asset_id=asset.pk, owner=owner)

        assert not MediaRendition.objects.exists()
        assert folder.names() == []

    def test_a_crash_between_file_and_row_leaves_a_file_that_is_swept(
        self, folder: Folder, owner, now, monkeypatch
    ) -> None:
        asset = store(PNG, owner, now).asset
        kept = services.make_rendition(asset, SMALLER, now=now)
        with monkeypatch.context() as patch:
            patch.setattr(MediaRendition.objects, "create", _die)
            with pytest.raises(KeyboardInterrupt):
                services.make_rendition(asset, SMALL, now=now)
        assert MediaRendition.objects.get() == kept
        assert copy_name(PNG) in folder.names()
        for name in (copy_name(PNG), copy_name(PNG, SMALLER)):
            folder.age(name, now - HOUR)
        assert services.sweep(now=now) == 0

        assert services.sweep(now=now + SECOND) == 1

        assert folder.names() == [file_name(PNG), copy_name(PNG, SMALLER)]

    def test_a_copy_of_an_image_without_a_row_is_swept(self, folder: Folder, owner, now) -> None:
        folder.write(copy_name(PNG), b"left behind", at=now - HOUR - SECOND)

        assert services.sweep(now=now) == 1

        assert folder.names() == []
        assert not MediaAsset.objects.exists()

    def test_files_of_other_names_stay(self, folder: Folder, owner, now) -> None:
        names = ["rendition/ab/notes.txt", f"rendition/ab/{'a' * 64}", f"rendition/ab/{'a' * 64}-Not A Profile"]
        for name in names:
            folder.write(name, b"not ours", at=now - timedelta(days=1))

        assert services.sweep(now=now) == 0

        assert sorted(folder.names()) == sorted(names)

    def test_a_file_without_a_row_is_replaced(self, folder: Folder, owner, now) -> None:
        """Another version of the libraries may have made it, with other bytes."""
        folder.write(copy_name(PNG), b"left behind by a crash", at=now)

        made = services.make_rendition(store(PNG, owner, now).asset, SMALL, now=now)

        assert len(folder.read(copy_name(PNG))) == made.size

    def test_a_lost_copy_is_made_again_once_its_image_is_uploaded_again(self, folder: Folder, owner, now) -> None:
        """As the files of the image itself: a backup may be older than the database."""
        asset = store(PNG, owner, now).asset
        for profile in (SMALL, SMALLER):
            services.make_rendition(asset, profile, now=now)
        kept = MediaRendition.objects.get(profile=SMALLER.name)
        files.storage().delete(copy_name(PNG))

        store(PNG, owner, now)

        assert list(asset.renditions.all()) == [kept]
        made = services.make_rendition(asset, SMALL, now=now)
        assert len(folder.read(copy_name(PNG))) == made.size

    def test_a_copy_that_gets_its_row_during_the_sweep_stays(self, folder: Folder, owner, now, monkeypatch) -> None:
        asset = store(PNG, owner, now).asset
        folder.write(copy_name(PNG), b"left behind", at=now - HOUR - SECOND)
        discard = removal._discard_rendition

        def make_first(sha256: str, profile: str, **options: object) -> bool:
            services.make_rendition(asset, SMALL, now=now)
            return discard(sha256, profile, **options)

        monkeypatch.setattr(removal, "_discard_rendition", make_first)
        assert services.sweep(now=now) == 0

        assert len(folder.read(copy_name(PNG))) == MediaRendition.objects.get().size

    def test_the_sweep_takes_as_many_queries_for_five_copies_as_for_one(
        self, owner, now, django_assert_num_queries
    ) -> None:
        asset = store(PNG, owner, now).asset
        for side in range(20, 25):
            services.make_rendition(asset, Profile(max_side=side), now=now)

        # One for the original, one for the copies.
        with django_assert_num_queries(2):
            services.sweep(now=now)


def test_copies_are_kept_in_the_storage_like_other_files(owner, now) -> None:
    asset = store(PNG, owner, now).asset
    services.make_rendition(asset, SMALL, now=now)

    assert files.storage().exists(files.rendition_name(asset.sha256, SMALL.name))


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
