"""store(): one file and one row per content."""

import hashlib
import io

import pytest
from PIL import Image

from media_store import services
from media_store.content_types import FILE_TYPES
from media_store.errors import BadImage, FileNotAccepted, FileTooLarge, NotAnImage
from media_store.models import MediaAsset, MediaOwnership
from media_store.services import storing
from tests.factories import UserFactory
from tests.media_store import other_files, pictures
from tests.media_store.folder import Folder
from tests.messaging.parallel import at_once

CONVERTED = ("image/heic", "image/avif")


def store(content: bytes, owner, now):
    return services.store(owner=owner, stream=[content], now=now)


def file_name(content: bytes, kind: str = "original") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    return f"{kind}/{sha256[:2]}/{sha256}"


@pytest.mark.parametrize("content_type", [kind for kind in pictures.KINDS if kind not in CONVERTED])
def test_the_stored_file_is_the_upload(folder: Folder, owner, now, content_type: str) -> None:
    content = pictures.KINDS[content_type]()

    stored = store(content, owner, now)

    asset = MediaAsset.objects.get()
    assert (stored.asset, stored.created) == (asset, True)
    assert asset.sha256 == hashlib.sha256(content).hexdigest()
    assert (asset.content_type, asset.size, asset.width, asset.height) == (content_type, len(content), 40, 30)
    assert (asset.frames, asset.clean_size, asset.created_at) == (1, None, now)
    assert folder.names() == [file_name(content)]
    assert folder.read(file_name(content)) == content


@pytest.mark.parametrize("content_type", CONVERTED)
def test_a_picture_that_is_converted_is_stored_as_it_came_and_as_jpeg(
    folder: Folder, owner, now, content_type: str
) -> None:
    content = pictures.KINDS[content_type]()

    asset = store(content, owner, now).asset

    asset.refresh_from_db()
    jpeg = folder.read(file_name(content, "clean"))
    assert (asset.content_type, asset.size, asset.width, asset.height) == (content_type, len(content), 40, 30)
    assert (asset.clean_content_type, asset.clean_size, asset.frames) == ("image/jpeg", len(jpeg), 1)
    assert folder.names() == [file_name(content, "clean"), file_name(content)]
    assert folder.read(file_name(content)) == content
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        assert image.size == (40, 30)


def test_what_stands_behind_the_end_is_stored_and_not_sent(folder: Folder, owner, now) -> None:
    plain = pictures.encoded("JPEG")
    content = plain + bytes(500)

    asset = store(content, owner, now).asset

    assert (asset.size, asset.clean_size, asset.clean_content_type) == (len(content), len(plain), "")
    assert folder.read(file_name(content)) == content
    assert folder.read(file_name(content, "clean")) == plain


def test_chunks_of_any_size_give_the_same_file(folder: Folder, owner, now) -> None:
    content = pictures.encoded("PNG")
    bytewise = (content[at : at + 1] for at in range(len(content)))

    services.store(owner=owner, stream=bytewise, now=now)

    assert not store(content, owner, now).created
    assert folder.read(file_name(content)) == content


def test_any_readable_object_can_be_stored(owner, now) -> None:
    content = pictures.encoded("PNG")

    stored = services.store(owner=owner, stream=services.chunks_of(io.BytesIO(content)), now=now)

    assert stored.asset.size == len(content)


def test_the_folder_is_private(folder: Folder, owner, now) -> None:
    content = pictures.encoded("PNG")

    store(content, owner, now)

    path = folder.location / file_name(content)
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert {oct(each.stat().st_mode)[-3:] for each in path.parents if each.is_relative_to(folder.location)} == {"700"}


def test_the_same_bytes_again_are_the_same_asset(folder: Folder, owner, now) -> None:
    content = pictures.encoded("PNG")
    first = store(content, owner, now)

    again = store(content, owner, now)

    assert (again.asset, again.created) == (first.asset, False)
    assert MediaOwnership.objects.count() == 1
    assert folder.names() == [file_name(content)]


def test_another_uploader_of_the_same_bytes_becomes_an_owner(folder: Folder, owner, now) -> None:
    content, other = pictures.encoded("PNG"), UserFactory()
    asset = store(content, owner, now).asset
    assert not services.visible_to(other).exists()

    again = store(content, other, now)

    assert (again.asset, again.created) == (asset, False)
    assert list(services.visible_to(other)) == list(services.visible_to(owner)) == [asset]
    assert folder.names() == [file_name(content)]


def test_without_an_owner_only_staff_see_it(owner, now) -> None:
    asset = store(pictures.encoded("PNG"), None, now).asset

    assert not services.visible_to(owner).exists()
    assert list(services.visible_to(UserFactory(is_staff=True, is_superuser=True))) == [asset]


def test_staff_without_the_permission_see_their_own(db, now) -> None:
    staff = UserFactory(is_staff=True)
    store(pictures.encoded("PNG"), None, now)
    mine = store(pictures.encoded("GIF"), staff, now).asset

    assert list(services.visible_to(staff)) == [mine]


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "error"),
        [
            (b"", NotAnImage),
            (b"no image", NotAnImage),
            (pictures.encoded("PNG")[:-20], BadImage),
            (pictures.heic()[:-20], BadImage),
        ],
        ids=["empty", "text", "truncated", "truncated HEIC"],
    )
    def test_a_refused_upload_leaves_nothing(self, folder: Folder, owner, now, content, error) -> None:
        with pytest.raises(error):
            store(content, owner, now)

        assert folder.is_untouched()
        assert not MediaAsset.objects.exists()

    def test_the_limit_counts_the_received_bytes(self, settings, folder: Folder, owner, now) -> None:
        content = pictures.encoded("PNG")
        settings.MEDIA_MAX_BYTES = len(content)
        assert store(content, owner, now).created

        settings.MEDIA_MAX_BYTES = len(content) - 1
        with pytest.raises(FileTooLarge):
            store(pictures.encoded("PNG") + b"x", owner, now)

        assert folder.names() == [file_name(content)]

    def test_reading_stops_at_the_limit(self, settings, owner, now) -> None:
        settings.MEDIA_MAX_BYTES = 1_000
        taken = []

        def stream():
            while True:
                taken.append(1)
                yield b"x" * 400

        with pytest.raises(FileTooLarge):
            services.store(owner=owner, stream=stream(), now=now)

        assert len(taken) == 3

    def test_an_interrupted_stream_leaves_nothing(self, folder: Folder, owner, now) -> None:
        def stream():
            yield pictures.encoded("PNG")[:50]
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            services.store(owner=owner, stream=stream(), now=now)

        assert folder.is_untouched()


class TestCrash:
    def test_a_file_without_a_row_gets_one_with_the_next_upload(self, folder: Folder, owner, now, monkeypatch) -> None:
        content = pictures.encoded("PNG")
        with monkeypatch.context() as patch:
            patch.setattr(storing, "_insert", _crash)
            with pytest.raises(KeyboardInterrupt):
                store(content, owner, now)
        assert folder.names() == [file_name(content)]
        assert not MediaAsset.objects.exists()

        stored = store(content, owner, now)

        assert stored.created
        assert folder.names() == [file_name(content)]

    def test_a_row_without_its_file_gets_it_with_the_next_upload(self, folder: Folder, owner, now) -> None:
        content = pictures.with_metadata("JPEG")
        asset = store(content, owner, now).asset
        for kind in ("original", "clean"):
            (folder.location / file_name(content, kind)).unlink()

        stored = store(content, owner, now)

        assert (stored.asset, stored.created) == (asset, False)
        assert folder.names() == [file_name(content, "clean"), file_name(content)]

    def test_a_lost_copy_may_be_made_anew_by_another_version(self, folder: Folder, owner, now) -> None:
        content = pictures.heic()
        asset = store(content, owner, now).asset
        (folder.location / file_name(content, "clean")).unlink()
        MediaAsset.objects.update(clean_size=1, clean_content_type="")

        stored = store(content, owner, now).asset

        asset.refresh_from_db()
        size = len(folder.read(file_name(content, "clean")))
        assert (asset.clean_size, asset.clean_content_type) == (size, "image/jpeg")
        assert (stored.clean_size, stored.clean_content_type) == (size, "image/jpeg")

    def test_a_copy_of_another_version_that_lies_there_counts(self, folder: Folder, owner, now) -> None:
        content, other = pictures.heic(), pictures.encoded("JPEG", pictures.picture(20, 15))
        folder.write(file_name(content, "clean"), other, at=now)

        asset = store(content, owner, now).asset

        asset.refresh_from_db()
        assert folder.read(file_name(content, "clean")) == other
        assert asset.clean_size == len(other)


def _crash(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_fifty_uploads_of_one_image_create_one_file_and_one_asset(self, folder: Folder, now) -> None:
        content = pictures.with_metadata("JPEG")
        owners = [UserFactory() for _ in range(50)]

        outcomes = at_once([lambda owner=owner: store(content, owner, now) for owner in owners])

        asset = MediaAsset.objects.get()
        assert {outcome.asset for outcome in outcomes} == {asset}
        assert sorted(outcome.created for outcome in outcomes) == [False] * 49 + [True]
        assert set(asset.owners.all()) == set(owners)
        assert folder.names() == [file_name(content, "clean"), file_name(content)]
        assert folder.read(file_name(content)) == content

    def test_fifty_uploads_of_one_owner_create_one_ownership(self, folder: Folder, owner, now) -> None:
        content = pictures.encoded("PNG")

        outcomes = at_once([lambda: store(content, owner, now)] * 50)

        assert sum(outcome.created for outcome in outcomes) == 1
        assert MediaOwnership.objects.count() == 1
        assert folder.names() == [file_name(content)]


# --- Files that are no images -----------------------------------------------------------------------------------------


def test_a_file_of_an_allowed_type_is_stored_as_it_came(folder: Folder, owner, now) -> None:
    content_type, content = other_files.KINDS["3gp"]

    stored = services.store(owner=owner, stream=[content], now=now, allow_files={"video/3gpp"})

    asset = MediaAsset.objects.get()
    assert (stored.asset, stored.created) == (asset, True)
    assert (asset.content_type, asset.size, asset.width, asset.height) == (content_type, len(content), None, None)
    assert (asset.frames, asset.clean_size, asset.clean_content_type) == (1, None, "")
    assert folder.names() == [file_name(content)]
    assert folder.read(file_name(content)) == content
    assert not services.store(owner=owner, stream=[content], now=now, allow_files={"video/3gpp"}).created


@pytest.mark.parametrize(
    ("allowed", "refusal"), [((), NotAnImage), ({"text/vcard"}, FileNotAccepted)], ids=["images only", "other files"]
)
def test_a_file_of_another_type_is_refused(folder: Folder, owner, now, allowed, refusal) -> None:
    with pytest.raises(refusal):
        services.store(owner=owner, stream=[other_files.KINDS["pdf"][1]], now=now, allow_files=allowed)

    assert not MediaAsset.objects.exists()
    assert folder.names() == []


def test_a_file_that_came_in_with_a_text_cannot_be_uploaded_as_an_image(folder: Folder, owner, now) -> None:
    content = other_files.KINDS["pdf"][1]
    services.store(owner=owner, stream=[content], now=now, allow_files={"application/pdf"})
    stranger = UserFactory()

    for allowed, refusal in (((), NotAnImage), ({"text/vcard"}, FileNotAccepted)):
        with pytest.raises(refusal):
            services.store(owner=stranger, stream=[content], now=now, allow_files=allowed)

    assert list(MediaOwnership.objects.values_list("owner", flat=True)) == [owner.pk]


@pytest.mark.parametrize("content_type", pictures.KINDS)
def test_an_image_is_validated_whatever_other_files_are_allowed(folder: Folder, owner, now, content_type: str) -> None:
    content = pictures.KINDS[content_type]()

    with pytest.raises(BadImage):
        services.store(owner=owner, stream=[content[:-10]], now=now, allow_files=FILE_TYPES)

    assert services.store(owner=owner, stream=[content], now=now, allow_files=FILE_TYPES).asset.width == 40
