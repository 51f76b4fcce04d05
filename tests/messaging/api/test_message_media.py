"""GET and POST /messages/{id}/media/."""

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.test.utils import CaptureQueriesContext

from media_store.models import MediaAsset
from messaging.models import Attachment
from messaging.services.installation import API_READER
from tests.factories import AccountFactory, MessageFactory
from tests.media_store import pictures
from tests.media_store.api.conftest import file
from tests.messaging.api.conftest import Api, assert_problem, errors_of

pytestmark = pytest.mark.usefixtures("media_folder")
ONE, TWO = (pictures.encoded("PNG", pictures.picture(shade=shade)) for shade in (1, 2))


@pytest.fixture
def inbound(api):
    return MessageFactory(inbound=True, status="processed", owner=api.user)


def upload(api: Api, message, *contents: bytes) -> HttpResponse:
    form = encode_multipart(BOUNDARY, {"file": [file(content) for content in contents]})
    return api.post(f"messages/{message.pk}/media/", data=form, content_type=MULTIPART_CONTENT)


def listed(api: Api, message) -> list[dict]:
    response = api.get(f"messages/{message.pk}/media/")
    assert response.status_code == 200
    return response.json()


def assert_nothing_attached(message) -> None:
    message.refresh_from_db()
    assert (message.media_count, Attachment.objects.count()) == (0, 0)


def test_files_are_attached_in_their_order_and_listed(api, inbound) -> None:
    response = upload(api, inbound, ONE, TWO)

    assert response.status_code == 201
    body = response.json()
    assert [row["id"] for row in body] == [str(pk) for pk in Attachment.objects.values_list("asset_id", flat=True)]
    assert [row["size"] for row in body] == [len(ONE), len(TWO)]
    assert body == listed(api, inbound)
    assert body[0] == api.get(f"media/{body[0]['id']}/").json()
    assert api.get(f"messages/{inbound.pk}/").json()["media"] == [row["id"] for row in body]
    assert b"".join(api.get(f"media/{body[0]['id']}/content/").streaming_content) == ONE


def test_images_attached_already_are_200(api, inbound) -> None:
    first = upload(api, inbound, ONE).json()

    again = upload(api, inbound, ONE, ONE)

    assert (again.status_code, again.json()) == (200, first)
    both = upload(api, inbound, ONE, TWO)
    assert (both.status_code, len(both.json())) == (201, 2)
    inbound.refresh_from_db()
    assert inbound.media_count == 2


def test_a_waiting_message_takes_files_if_an_account_can_carry_them(api) -> None:
    AccountFactory(slug="mms", config={"url": "http://127.0.0.1:9/", "fields": {"media": "media_urls"}})
    message = MessageFactory(owner=api.user)

    assert upload(api, message, ONE).status_code == 201


def test_files_that_no_account_can_carry_are_400(api) -> None:
    message = MessageFactory(owner=api.user)

    assert errors_of(upload(api, message, ONE)) == {("file", "media_not_supported")}

    assert_nothing_attached(message)


@pytest.mark.parametrize("kind", ["sending", "sent", "delivered"])
def test_a_message_being_sent_takes_no_files(api, kind: str) -> None:
    message = MessageFactory(owner=api.user, **{kind: True})

    assert_problem(upload(api, message, ONE), 409, "not_attachable")

    assert_nothing_attached(message)
    assert not MediaAsset.objects.exists()


def test_no_more_than_ten_on_a_message(api, inbound) -> None:
    files = [pictures.encoded("PNG", pictures.picture(shade=shade)) for shade in range(11)]
    assert errors_of(upload(api, inbound, *files)) == {("file", "too_many_files")}
    assert_nothing_attached(inbound)
    assert upload(api, inbound, *files[:10]).status_code == 201

    assert errors_of(upload(api, inbound, files[10])) == {("file", "too_many_files")}
    assert len(listed(api, inbound)) == 10


def test_a_file_that_is_not_an_image_is_415(api, inbound) -> None:
    assert_problem(upload(api, inbound, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 415, "not_an_image")

    assert_nothing_attached(inbound)


def test_one_bad_file_attaches_none(api, inbound) -> None:
    assert errors_of(upload(api, inbound, ONE, TWO[:-20])) == {("file", "truncated")}

    assert_nothing_attached(inbound)


def test_a_file_that_is_too_large_is_413(api, inbound, settings) -> None:
    settings.MEDIA_MAX_BYTES = len(ONE) - 1

    assert_problem(upload(api, inbound, ONE), 413, "file_too_large")

    assert_nothing_attached(inbound)


def test_without_a_file_it_is_400_and_without_a_form_415(api, inbound) -> None:
    assert errors_of(upload(api, inbound)) == {("file", "required")}
    assert_problem(api.post(f"messages/{inbound.pk}/media/", {"file": "x"}), 415, "unsupported_media_type")


def test_a_message_of_another_client_is_404(stranger, inbound) -> None:
    assert_problem(stranger.get(f"messages/{inbound.pk}/media/"), 404, "not_found")
    assert_problem(upload(stranger, inbound, ONE), 404, "not_found")

    assert_nothing_attached(inbound)
    assert not MediaAsset.objects.exists()


def test_attaching_requires_the_change_permission(member_of) -> None:
    reader = member_of(API_READER)
    message = MessageFactory(inbound=True, owner=reader.user)

    assert_problem(upload(reader, message, ONE), 403, "permission_denied")

    assert listed(reader, message) == []


def test_lists_of_messages_cost_the_same_with_more_media(api) -> None:
    costs = []
    for _ in range(4):
        upload(api, MessageFactory(inbound=True, owner=api.user), ONE, TWO)
        with CaptureQueriesContext(connection) as queries:
            by_key, by_place = api.get("messages/?cursor=").json(), api.get("messages/").json()
        assert {len(row["media"]) for row in (*by_key["results"], *by_place["results"])} == {2}
        costs.append(len(queries))

    assert len(set(costs)) == 1
