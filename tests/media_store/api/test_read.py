"""GET and DELETE under /media/."""

import io
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image

from media_store import services
from media_store.models import MediaAsset
from media_store.scaling import Profile
from media_store.services import files
from messaging.services.installation import API_READER
from tests.media_store import other_files, pictures
from tests.media_store.api.conftest import upload
from tests.media_store.folder import Folder
from tests.messaging.api.conftest import Api, assert_problem, errors_of


@pytest.fixture
def mine(api, now):
    """Creates images of the client's user; each number is a different content."""

    def make(number: int = 0) -> MediaAsset:
        content = pictures.encoded("PNG", pictures.picture(shade=number))
        return services.store(owner=api.user, stream=[content], now=now).asset

    return make


class TestList:
    def test_the_users_own_newest_first(self, api, stranger, mine, now) -> None:
        first, second = mine(1), mine(2)
        services.store(owner=stranger.user, stream=[pictures.encoded("GIF")], now=now)

        body = api.get("media/").json()

        assert (body["count"], body["next"], body["previous"]) == (2, None, None)
        assert [each["id"] for each in body["results"]] == [str(second.pk), str(first.pk)]
        assert body["results"][0] == api.get(f"media/{second.pk}/").json()

    def test_the_list_has_pages(self, api, mine) -> None:
        for number in range(3):
            mine(number)

        page = api.get("media/?limit=2").json()
        rest = api.get(page["next"]).json()

        assert (len(page["results"]), len(rest["results"]), rest["count"]) == (2, 1, 3)

    def test_staff_see_all(self, staff, mine) -> None:
        asset = mine()

        assert [each["id"] for each in staff.get("media/").json()["results"]] == [str(asset.pk)]

    def test_five_images_take_as_many_queries_as_one(self, api, mine) -> None:
        mine()
        with CaptureQueriesContext(connection) as one:
            api.get("media/")
        for number in range(1, 5):
            mine(number)

        with CaptureQueriesContext(connection) as five:
            assert api.get("media/").json()["count"] == 5

        assert len(five) == len(one)


class TestOne:
    def test_an_image_of_another_owner_is_404(self, api, stranger, mine) -> None:
        asset = mine()

        for path in (f"media/{asset.pk}/", f"media/{asset.pk}/content/"):
            assert_problem(stranger.get(path), 404, "not_found")
        assert_problem(stranger("DELETE", f"media/{asset.pk}/"), 404, "not_found")
        assert api.get(f"media/{asset.pk}/").status_code == 200

    def test_an_unknown_image_is_404(self, api) -> None:
        assert_problem(api.get(f"media/{uuid4()}/"), 404, "not_found")
        assert_problem(api.get("media/no-id/"), 404, "not_found")

    def test_without_a_token_401(self, anonymous, mine) -> None:
        asset = mine()

        for path in ("media/", f"media/{asset.pk}/", f"media/{asset.pk}/content/"):
            assert_problem(anonymous.get(path), 401, "not_authenticated")

    def test_readers_read_and_do_not_delete(self, member_of, now) -> None:
        reader = member_of(API_READER)
        asset = services.store(owner=reader.user, stream=[pictures.encoded("PNG")], now=now).asset

        assert reader.get(f"media/{asset.pk}/").status_code == 200
        assert_problem(reader("DELETE", f"media/{asset.pk}/"), 403, "permission_denied")
        assert MediaAsset.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestDelete:
    def test_the_last_owner_deletes_row_and_file(self, api, mine, folder: Folder) -> None:
        asset = mine()

        response = api("DELETE", f"media/{asset.pk}/")

        assert (response.status_code, response.content) == (204, b"")
        assert not MediaAsset.objects.exists()
        assert folder.names() == []
        assert_problem(api("DELETE", f"media/{asset.pk}/"), 404, "not_found")

    def test_an_image_with_another_owner_stays_for_that_owner(self, api, stranger, mine, folder: Folder) -> None:
        asset = mine()
        assert upload(stranger, pictures.encoded("PNG")).json()["id"] == str(asset.pk)

        assert api("DELETE", f"media/{asset.pk}/").status_code == 204

        assert_problem(api.get(f"media/{asset.pk}/"), 404, "not_found")
        assert stranger.get(f"media/{asset.pk}/").status_code == 200
        assert len(folder.names()) == 1

    def test_staff_delete_for_all_owners(self, staff, mine, folder: Folder) -> None:
        asset = mine()

        assert staff("DELETE", f"media/{asset.pk}/").status_code == 204

        assert not MediaAsset.objects.exists()
        assert folder.names() == []


class TestContent:
    def test_the_content_is_the_uploaded_bytes(self, api, now) -> None:
        content = pictures.with_metadata("JPEG")
        asset = services.store(owner=api.user, stream=[content], now=now).asset

        response = api.get(f"media/{asset.pk}/content/")

        assert response.status_code == 200
        assert response.streaming
        assert response.getvalue() == content
        assert_headers(response, asset, len(content))
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response.headers["ETag"] == f'"{asset.sha256}"'

    @pytest.mark.parametrize("accept", ["image/*", "image/avif,image/webp;q=0.8", "text/html", "application/json"])
    def test_any_accept_header_is_ignored(self, api, mine, accept: str) -> None:
        assert fetched(api.get(f"media/{mine().pk}/content/", Accept=accept)) == 200

    def test_staff_see_all(self, staff, mine) -> None:
        assert fetched(staff.get(f"media/{mine().pk}/content/")) == 200

    def test_head_returns_the_headers(self, api, mine) -> None:
        asset = mine()
        got = api.get(f"media/{asset.pk}/content/", X_Request_ID="one-request")
        assert fetched(got) == 200

        head = api("HEAD", f"media/{asset.pk}/content/", X_Request_ID="one-request")

        assert (head.status_code, head.content) == (200, b"")
        assert dict(head.headers) == dict(got.headers)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_current_copy_is_304(self, api, mine, method: str) -> None:
        asset = mine()

        response = api(method, f"media/{asset.pk}/content/", If_None_Match=f'"other", "{asset.sha256}"')

        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == f'"{asset.sha256}"'
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"

    @pytest.mark.parametrize(("content_type", "extension"), [("image/heic", "heic"), ("image/avif", "avif")])
    def test_a_picture_of_a_phone_is_read_as_it_came_and_as_it_goes_out(
        self, api, anonymous, now, content_type: str, extension: str
    ) -> None:
        content = pictures.KINDS[content_type]()
        asset = services.store(owner=api.user, stream=[content], now=now).asset

        original, sent = (api.get(f"media/{asset.pk}/content/{query}") for query in ("", "?copy=sent"))
        signed = anonymous.get(TestSignedUrl().url(asset, now))

        assert api.get(f"media/{asset.pk}/").json()["content_type"] == content_type
        assert original.getvalue() == content
        assert_headers(original, asset, len(content))
        for response in (sent, signed):
            body = response.getvalue()
            assert body.startswith(b"\xff\xd8\xff")
            assert len(body) == asset.clean_size
            assert response.headers["Content-Type"] == "image/jpeg"
            assert response.headers["Content-Length"] == str(len(body))
            assert response.headers["Content-Disposition"] == f'inline; filename="{asset.pk}.jpg"'
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["ETag"] == f'"{asset.sha256}-clean"'

    def test_the_copy_that_goes_out_may_be_the_original(self, api, mine) -> None:
        asset = mine()

        response = api.get(f"media/{asset.pk}/content/?copy=sent")

        assert response.getvalue() == pictures.encoded("PNG")
        assert_headers(response, asset, asset.size)

    def test_another_copy_is_400(self, api, mine) -> None:
        response = api.get(f"media/{mine().pk}/content/?copy=original")

        assert errors_of(response) == {("copy", "invalid_choice")}

    def test_the_copy_of_an_image_of_another_owner_is_404(self, stranger, mine) -> None:
        assert_problem(stranger.get(f"media/{mine().pk}/content/?copy=sent"), 404, "not_found")

    def test_an_outdated_copy_is_200(self, api, mine) -> None:
        assert fetched(api.get(f"media/{mine().pk}/content/", If_None_Match='"other"')) == 200


class TestFiles:
    """Files that are no images are saved by a browser, never shown."""

    @pytest.mark.parametrize(
        ("name", "extension"), [("vcard", "vcf"), ("pdf", "pdf"), ("m4a", "m4a"), ("mp4", "mp4"), ("webm", "webm")]
    )
    def test_a_file_is_a_download_in_a_sandbox(self, api, now, name: str, extension: str) -> None:
        content_type, content = other_files.KINDS[name]
        asset = services.store(owner=api.user, stream=[content], now=now, allow_files={content_type}).asset

        response = api.get(f"media/{asset.pk}/content/", Accept="text/html")

        assert response.getvalue() == content
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Content-Disposition"] == f'attachment; filename="{asset.pk}.{extension}"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"

    def test_an_upload_of_one_is_refused_also_when_it_came_in_before(self, api, now) -> None:
        content_type, content = other_files.KINDS["vcard"]
        for _ in range(2):
            assert_problem(upload(api, content), 415, "not_an_image")
            services.store(owner=None, stream=[content], now=now, allow_files={content_type})

        assert api.get("media/").json()["count"] == 0


class TestSignedUrl:
    LIFETIME = timedelta(hours=1)

    def url(self, asset: MediaAsset, now) -> str:
        url = services.signed_url(asset, public_url="https://sms.example.org", lifetime=self.LIFETIME, now=now)
        host, path = url[:23], url[23:]
        assert host == "https://sms.example.org"
        assert path.startswith(f"/api/v1/media/{asset.pk}/content/?expires=")
        return path

    def test_a_signed_url_needs_no_token(self, anonymous, mine, now) -> None:
        asset = mine()

        response = anonymous.get(self.url(asset, now))

        assert response.status_code == 200
        assert response.getvalue() == pictures.encoded("PNG")
        assert_headers(response, asset, asset.size)
        assert response.headers["Cache-Control"] == "private, max-age=3600, immutable"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
    def test_its_content_has_no_metadata(self, anonymous, api, now, kind: str) -> None:
        content = pictures.with_metadata(kind)
        assert pictures.CAMERA.encode() in content or pictures.COMMENT.encode() in content
        asset = services.store(owner=api.user, stream=[content], now=now).asset

        response = anonymous.get(self.url(asset, now))

        served = response.getvalue()
        for secret in (pictures.CAMERA.encode(), pictures.COMMENT.encode(), pictures.XMP):
            assert secret not in served
        assert_headers(response, asset, len(served))
        assert response.headers["ETag"] == f'"{asset.sha256}-clean"'

    def test_head_and_304(self, anonymous, api, now) -> None:
        asset = services.store(owner=api.user, stream=[pictures.with_metadata("JPEG")], now=now).asset
        path = self.url(asset, now)

        head = anonymous("HEAD", path)
        again = anonymous.get(path, If_None_Match=head.headers["ETag"])

        assert (head.status_code, head.headers["Content-Length"]) == (200, str(asset.clean_size))
        assert again.status_code == 304

    def test_a_signed_url_expires(self, anonymous, mine, now, clock) -> None:
        path = self.url(mine(), now)
        clock.advance(self.LIFETIME.total_seconds() - 1)
        response = anonymous.get(path)
        assert fetched(response) == 200
        assert response.headers["Cache-Control"] == "private, max-age=1, immutable"

        clock.advance(1)

        assert_problem(anonymous.get(path), 403, "permission_denied")

    @pytest.mark.parametrize(
        ("find", "put"),
        [
            ("signature=", "signature=x"),
            ("expires=1", "expires=2"),
            ("expires=", "expires=%2B"),
            ("expires=", "expires=0"),
            ("expires=", "expires=99999999999999999999"),
            ("expires=", "expires=%D9%A1"),
            ("expires=", "until="),
            ("signature=", "signature=%00"),
        ],
    )
    def test_no_part_of_it_can_be_changed(self, anonymous, mine, now, find: str, put: str) -> None:
        path = self.url(mine(), now)

        assert_problem(anonymous.get(path.replace(find, put, 1)), 403, "permission_denied")

    def test_it_is_valid_for_one_image(self, anonymous, mine, now) -> None:
        path, other = self.url(mine(1), now), mine(2)

        assert_problem(anonymous.get(f"media/{other.pk}/content/?{path.split('?')[1]}"), 403, "permission_denied")

    def test_it_gives_access_to_nothing_else(self, anonymous, api, mine, now) -> None:
        asset = mine()
        query = self.url(asset, now).split("?")[1]

        assert_problem(anonymous.get(f"media/{asset.pk}/?{query}"), 401, "not_authenticated")
        assert_problem(anonymous("DELETE", f"media/{asset.pk}/content/?{query}"), 401, "not_authenticated")

    def test_a_former_key_is_valid_during_key_rotation(self, anonymous, mine, now, settings) -> None:
        path = self.url(mine(), now)
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, [settings.SECRET_KEY]
        assert fetched(anonymous.get(path)) == 200

        settings.SECRET_KEY_FALLBACKS = []

        assert_problem(anonymous.get(path), 403, "permission_denied")

    def test_the_url_of_a_deleted_image_is_404(self, anonymous, mine, now) -> None:
        asset = mine()
        path = self.url(asset, now)
        services.delete(asset_id=asset.pk, owner=None)

        assert_problem(anonymous.get(path), 404, "not_found")


class TestScaledCopy:
    """A signed URL with a profile: the copy that was made for a provider."""

    PROFILE = Profile(max_side=20)

    @pytest.fixture
    def asset(self, mine, now) -> MediaAsset:
        asset = mine()
        services.make_rendition(asset, self.PROFILE, now=now)
        return asset

    def path(self, asset: MediaAsset, now, profile: str = PROFILE.name) -> str:
        lifetime = timedelta(hours=1)
        url = services.signed_url(
            asset, public_url="https://sms.example.org", lifetime=lifetime, now=now, profile=profile
        )
        return url.removeprefix("https://sms.example.org")

    def test_it_is_a_jpeg_with_its_own_size_and_tag(self, anonymous, asset, now) -> None:
        response = anonymous.get(self.path(asset, now))

        assert response.status_code == 200
        image = Image.open(io.BytesIO(response.getvalue()))
        assert (image.format, image.size) == ("JPEG", (20, 15))
        copy = asset.renditions.get()
        assert response.headers["Content-Type"] == "image/jpeg"
        assert response.headers["Content-Length"] == str(copy.size)
        assert response.headers["ETag"] == f'"{asset.sha256}-20px-jpeg"'
        assert response.headers["Content-Disposition"] == f'inline; filename="{asset.pk}.jpg"'
        assert response.headers["Cache-Control"] == "private, max-age=3600, immutable"

    def test_head_and_304(self, anonymous, asset, now) -> None:
        path = self.path(asset, now)

        head = anonymous("HEAD", path)
        again = anonymous.get(path, If_None_Match=head.headers["ETag"])

        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(asset.renditions.get().size)
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize(
        "change",
        [
            ("profile=20px-jpeg", "profile=21px-jpeg"),
            ("profile=20px-jpeg&", ""),
            ("profile=20px-jpeg", "profile="),
            ("profile=20px-jpeg", "profile=..%2F..%2Fsecret"),
            ("expires=1", "expires=2"),
            ("signature=", "signature=x"),
        ],
    )
    def test_no_part_of_it_can_be_changed(self, anonymous, asset, now, monkeypatch, change: tuple[str, str]) -> None:
        path = self.path(asset, now)
        assert change[0] in path
        monkeypatch.setattr(files, "storage", None)  # no file is looked for

        assert_problem(anonymous.get(path.replace(*change, 1)), 403, "permission_denied")

    def test_a_url_of_the_whole_image_gives_no_copy(self, anonymous, asset, now) -> None:
        whole = self.path(asset, now, profile="")

        assert_problem(anonymous.get(f"{whole}&profile=20px-jpeg"), 403, "permission_denied")
        assert anonymous.get(whole).getvalue() == pictures.encoded("PNG")

    def test_one_that_was_not_made_is_404_and_is_not_made(self, anonymous, asset, now, monkeypatch) -> None:
        monkeypatch.setattr("media_store.scaling.scale", None)

        assert_problem(anonymous.get(self.path(asset, now, profile="16px-jpeg")), 404, "not_found")

        assert asset.renditions.count() == 1

    def test_a_client_gets_the_original(self, api, asset) -> None:
        assert api.get(f"media/{asset.pk}/content/?profile=20px-jpeg").getvalue() == pictures.encoded("PNG")


def test_a_copy_of_another_type_is_served_as_that_type(anonymous, api, now, folder: Folder) -> None:
    asset = services.store(owner=api.user, stream=[pictures.encoded("PNG")], now=now).asset
    jpeg = pictures.encoded("JPEG")
    folder.write(f"clean/{asset.sha256[:2]}/{asset.sha256}", jpeg, at=now)
    MediaAsset.objects.update(clean_size=len(jpeg), clean_content_type="image/jpeg")
    url = services.signed_url(asset, public_url="", lifetime=timedelta(hours=1), now=now)

    response = anonymous.get(url)

    assert response.getvalue() == jpeg
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Content-Disposition"] == f'inline; filename="{asset.pk}.jpg"'
    assert api.get(f"media/{asset.pk}/content/").headers["Content-Type"] == "image/png"


def fetched(response) -> int:
    """Read the response to its end, which closes its file, and return its status."""
    response.getvalue()
    return response.status_code


def assert_headers(response, asset: MediaAsset, size: int) -> None:
    extension = asset.content_type.split("/")[1].replace("jpeg", "jpg")
    assert response.headers["Content-Type"] == asset.content_type
    assert response.headers["Content-Length"] == str(size)
    assert response.headers["Content-Disposition"] == f'inline; filename="{asset.pk}.{extension}"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_responses_have_the_documented_keys(api: Api, mine) -> None:
    body = api.get(f"media/{mine().pk}/").json()

    assert set(body) == {"id", "sha256", "content_type", "size", "width", "height", "url", "created_at"}
