"""POST /media/."""

import hashlib

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from media_store.api import uploads
from media_store.errors import BadImage
from media_store.models import MediaAsset
from messaging.services.installation import API_OPERATOR, API_READER
from tests.media_store import pictures
from tests.media_store.api.conftest import file, post_form, upload
from tests.media_store.folder import Folder
from tests.messaging.api.conftest import assert_problem, errors_of

PNG = pictures.encoded("PNG")


def assert_nothing_happened(folder: Folder) -> None:
    assert folder.is_untouched()
    assert not MediaAsset.objects.exists()


def test_a_new_image_is_201_with_its_data(api, now) -> None:
    response = upload(api, PNG)

    asset = MediaAsset.objects.get()
    address = f"http://testserver/api/v1/media/{asset.pk}/"
    assert response.status_code == 201
    assert response.headers["Location"] == address
    assert response.json() == {
        "id": str(asset.pk),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "content_type": "image/png",
        "size": len(PNG),
        "width": 40,
        "height": 30,
        "url": f"{address}content/",
        "created_at": "2026-11-22T09:00:00Z",
    }


def test_the_same_bytes_again_are_200_with_the_stored_one(api, stranger) -> None:
    first = upload(api, PNG)

    again, another = upload(api, PNG, "other-name.jpg"), upload(stranger, PNG)

    assert (again.status_code, again.json()) == (200, first.json())
    assert (another.status_code, another.json()) == (200, first.json())
    assert MediaAsset.objects.count() == 1


def test_file_name_and_media_type_are_ignored(api) -> None:
    response = post_form(api, {"file": file(PNG, "page.html", "text/html")})

    assert response.status_code == 201
    assert response.json()["content_type"] == "image/png"


def test_an_upload_is_spooled_to_disk_and_removed_with_the_response(api, folder: Folder) -> None:
    upload(api, PNG)

    assert len(folder.names()) == 1
    assert not list(folder.temporary.iterdir())


def test_a_spooled_upload_has_no_file_name(api, folder: Folder, monkeypatch) -> None:
    names: list[str] = []

    def list_names(*_args, **_kwargs):
        names.extend(path.name for path in folder.temporary.iterdir())
        raise BadImage("damaged", "for this test")

    monkeypatch.setattr("media_store.services.storing.validate", list_names)

    assert upload(api, PNG).status_code == 400
    assert names == []


@pytest.mark.parametrize("path", ["media/", "media"])
def test_the_slash_may_be_left_out(api, path: str) -> None:
    form = encode_multipart(BOUNDARY, {"file": file(PNG)})

    assert api("POST", path, data=form, content_type=MULTIPART_CONTENT).status_code == 201


class TestPermissions:
    def test_without_a_token_401(self, anonymous, folder: Folder) -> None:
        assert_problem(upload(anonymous, PNG), 401, "not_authenticated")

        assert_nothing_happened(folder)

    def test_readers_and_operators_may_not(self, member_of, folder: Folder) -> None:
        assert_problem(upload(member_of(API_READER, API_OPERATOR), PNG), 403, "permission_denied")

        assert_nothing_happened(folder)

    def test_a_browser_session_may(self, api, installed) -> None:
        browser = Client()
        browser.force_login(api.user)

        assert browser.post("/api/v1/media/", {"file": file(PNG)}).status_code == 201
        assert browser.post("/api/v1/media/", {"file": [file(PNG), file(PNG)]}).status_code == 400
        assert browser.post("/api/v1/media/", {"file": file(PNG), "csrfmiddlewaretoken": "x"}).status_code == 200


class TestForms:
    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({}, ("file", "required")),
            ({"note": "no file"}, ("note", "unknown_field")),
            ({"file": "text"}, ("file", "invalid")),
            ({"photo": file(PNG)}, ("photo", "unknown_field")),
        ],
        ids=["empty", "other field", "text", "other name"],
    )
    def test_a_form_without_the_file_is_400(self, api, folder: Folder, fields, error) -> None:
        assert errors_of(post_form(api, fields)) == {error}

        assert_nothing_happened(folder)

    def test_several_files_are_400_and_none_is_stored(self, api, folder: Folder) -> None:
        response = post_form(api, {"file": [file(PNG), file(pictures.encoded("GIF"))]})

        assert errors_of(response) == {("file", "too_many_files")}
        assert_nothing_happened(folder)

    @pytest.mark.parametrize("content_type", ["application/json", "image/png", "application/x-www-form-urlencoded"])
    def test_another_content_type_is_415(self, api, folder: Folder, content_type: str) -> None:
        response = api("POST", "media/", data=PNG, content_type=content_type)

        assert_problem(response, 415, "unsupported_media_type")
        assert_nothing_happened(folder)

    @pytest.mark.parametrize(
        ("data", "content_type"),
        [(b"--x\r\nrubbish", "multipart/form-data"), (b"", "multipart/form-data; boundary=" + "x" * 300)],
        ids=["no boundary", "nothing"],
    )
    def test_a_body_that_is_not_a_form_is_400(self, api, folder: Folder, data: bytes, content_type: str) -> None:
        response = api("POST", "media/", data=data, content_type=content_type)

        assert response.status_code == 400
        assert response.json()["code"] in {"parse_error", "invalid"}

        assert_nothing_happened(folder)

    def test_a_truncated_form_is_400(self, api, folder: Folder) -> None:
        form = encode_multipart(BOUNDARY, {"file": file(PNG)})

        response = api("POST", "media/", data=form[: form.index(PNG) + 60], content_type=MULTIPART_CONTENT)

        assert errors_of(response) == {("file", "required")}
        assert_nothing_happened(folder)


class TestSize:
    def test_a_file_over_the_limit_is_413(self, api, settings, folder: Folder) -> None:
        settings.MEDIA_MAX_BYTES = len(PNG) - 1

        assert_problem(upload(api, PNG), 413, "file_too_large")

        assert_nothing_happened(folder)

    def test_a_body_with_too_large_a_content_length_is_refused_unread(self, api, settings, folder: Folder) -> None:
        limit = settings.MEDIA_MAX_BYTES + uploads.FORM_BYTES

        response = api("POST", "media/", data=b"", content_type=MULTIPART_CONTENT, Content_Length=str(limit + 1))

        assert_problem(response, 413, "file_too_large")
        assert_nothing_happened(folder)

    def test_a_form_with_too_much_besides_its_file_is_413(self, api, settings, folder: Folder) -> None:
        settings.MEDIA_MAX_BYTES = len(PNG)

        response = post_form(api, {"note": "x" * uploads.FORM_BYTES, "file": file(PNG)})

        assert_problem(response, 413, "file_too_large")
        assert_nothing_happened(folder)

    def test_uploads_are_spooled_to_disk_after_64_kilobytes(self) -> None:
        assert django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE == 64 * 1024


def test_a_file_that_is_not_an_image_is_415(api, folder: Folder) -> None:
    assert_problem(upload(api, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 415, "not_an_image")

    assert_nothing_happened(folder)


def test_a_bad_image_is_400_with_field_and_reason(api, folder: Folder) -> None:
    body = assert_problem(upload(api, PNG[:-5]), 400, "invalid")

    [error] = body["errors"]
    assert (error["field"], error["code"]) == ("file", "truncated")
    assert error["detail"] == "The picture is incomplete: the file ends in the middle. Upload it again."
    assert_nothing_happened(folder)
