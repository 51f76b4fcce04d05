"""Images in the console."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from media_store import services
from media_store.errors import AssetInUse
from media_store.models import MediaAsset
from tests.factories import UserFactory
from tests.media_store import other_files, pictures
from tests.media_store.conftest import folder, now, owner
from tests.media_store.folder import Folder

LIST = "/admin/media_store/mediaasset/"
CHOSEN = {"action": "delete_selected", "post": "yes", "_reason": "asked for"}


@pytest.fixture
def admin(db) -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


__all__ = ["folder", "now", "owner"]  # fixtures of the media store, which this file uses as its own


@pytest.fixture
def asset(owner, now):
    """Makes images; each number is another content."""

    def make(number: int = 0, kind: str = "PNG", width: int = 40) -> MediaAsset:
        content = pictures.encoded(kind, pictures.picture(width, shade=number))
        return services.store(owner=owner, stream=[content], now=now).asset

    return make


def test_the_list_shows_small_images_and_whose_they_are(admin, asset, owner) -> None:
    image = asset(width=320)

    page = admin.get(LIST).content.decode()

    assert f'<img src="/api/v1/media/{image.pk}/content/" width="64" height="6" loading="lazy" alt="">' in page
    assert owner.username in page
    assert "style=" not in page.split(f"/media/{image.pk}/content/")[1].split(">")[0]


def test_another_file_is_named_and_can_be_saved(admin, owner, now) -> None:
    content_type, content = other_files.KINDS["amr"]
    asset = services.store(owner=owner, stream=[content], now=now, allow_files={content_type}).asset
    address = f"/api/v1/media/{asset.pk}/content/"

    listed = admin.get(LIST).content.decode()
    page = admin.get(f"{LIST}{asset.pk}/change/").content.decode()

    assert "Audio (AMR)" in listed
    assert address not in listed
    assert f'<a class="sb-file" href="{address}" download>' in page
    assert f'src="{address}"' not in page


def test_a_heic_is_shown_as_the_jpeg_that_goes_out(admin, owner, now) -> None:
    image = services.store(owner=owner, stream=[pictures.heic()], now=now).asset
    shown = f'<img src="/api/v1/media/{image.pk}/content/?copy=sent" width="40" height="30" loading="lazy" alt="">'

    page = admin.get(f"{LIST}{image.pk}/change/").content.decode()
    response = admin.get(f"/api/v1/media/{image.pk}/content/?copy=sent")

    assert shown in page
    assert shown in admin.get(LIST).content.decode()
    assert "image/heic" in page
    assert "(image/jpeg)" in page
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert response.getvalue().startswith(b"\xff\xd8\xff")


def test_five_images_cost_as_many_queries_as_one(admin, asset) -> None:
    asset()
    admin.get(LIST)
    with CaptureQueriesContext(connection) as one:
        admin.get(LIST)
    for number in range(1, 5):
        asset(number)

    with CaptureQueriesContext(connection) as five:
        admin.get(LIST)

    assert len(five) == len(one)


def test_filters_by_kind_and_day_and_search_by_hash_and_owner(admin, asset, owner, now) -> None:
    png, gif = asset(), asset(kind="GIF")

    def found(query: str) -> set:
        return {row.pk for row in admin.get(LIST + query).context["cl"].result_list}

    assert found("?content_type__exact=image/gif") == {gif.pk}
    assert found(f"?{urlencode({'created_at__gte': now + timedelta(days=1)})}") == set()
    assert found(f"?{urlencode({'created_at__gte': now})}") == {png.pk, gif.pk}
    assert found(f"?q={png.sha256[:10]}") == {png.pk}
    assert found(f"?q={owner.username}") == {png.pk, gif.pk}
    assert found(f"?q={gif.pk}") == {gif.pk}


def test_an_image_can_be_viewed_but_not_changed(admin, asset) -> None:
    image = asset()

    response = admin.get(f"{LIST}{image.pk}/change/")

    assert response.status_code == 200
    assert image.sha256 in response.content.decode()
    assert admin.post(f"{LIST}{image.pk}/change/", {"sha256": "x"}).status_code == 403
    assert admin.get(f"{LIST}add/").status_code == 403


@pytest.mark.django_db(transaction=True)
class TestDelete:
    def test_rows_and_files_go(self, admin, asset, folder: Folder) -> None:
        first, second = asset(1), asset(2)

        admin.post(f"{LIST}{first.pk}/delete/", {"post": "yes", "_reason": "asked for"})
        admin.post(
            LIST,
            {**CHOSEN, "_selected_action": [str(second.pk)]},
        )

        assert not MediaAsset.objects.exists()
        assert folder.names() == []

    def test_an_image_in_use_is_kept_with_a_message(self, admin, asset, folder: Folder, monkeypatch) -> None:
        image = asset()

        def refuse(**_: object) -> None:
            raise AssetInUse

        monkeypatch.setattr(services, "delete", refuse)
        responses = [
            admin.post(f"{LIST}{image.pk}/delete/", {"post": "yes", "_reason": "asked for"}, follow=True),
            admin.post(
                LIST,
                {
                    "action": "delete_selected",
                    "_selected_action": [str(image.pk)],
                    "post": "yes",
                    "_reason": "asked for",
                },
                follow=True,
            ),
        ]

        for response in responses:
            assert "belongs to a message" in response.content.decode()
        assert MediaAsset.objects.get() == image
        assert len(folder.names()) == 1


def test_without_the_permission_nothing_is_seen(db, asset) -> None:
    client = Client()
    user = UserFactory(is_staff=True)
    client.force_login(user)
    asset()

    assert client.get(LIST).status_code == 403

    user.user_permissions.add(Permission.objects.get(codename="view_mediaasset"))
    assert client.get(LIST).status_code == 200
