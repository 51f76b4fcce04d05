"""API responses: 304 for unchanged ones, compression on request, and never another user's response."""

import gzip
import json

import pytest

from messaging.models import Message
from tests.factories import MessageFactory
from tests.media_store import pictures
from tests.media_store.api.conftest import upload
from tests.messaging.api.conftest import anonymous, api, installed, stranger
from tests.messaging.conftest import media_folder

__all__ = ["anonymous", "api", "installed", "media_folder", "stranger"]

PACKED = {"Accept_Encoding": "gzip"}


@pytest.fixture
def message(api) -> Message:
    return MessageFactory(owner=api.user, text="Your code is 271828. " * 20)


def path(message: Message) -> str:
    return f"messages/{message.pk}/"


@pytest.mark.parametrize("more", [{}, PACKED])
def test_a_client_that_has_the_response_gets_304(api, message, more) -> None:
    first = api.get(path(message), **more)

    again = api.get(path(message), If_None_Match=first["ETag"], **more)

    assert first["Cache-Control"] == "private, no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("more", [{}, PACKED])
def test_any_change_is_a_new_response(api, message, more) -> None:
    before = api.get(path(message), **more)["ETag"]
    Message.objects.filter(pk=message.pk).update(attempts=1)  # no status, and without a change of `updated_at`

    after = api.get(path(message), If_None_Match=before, **more)

    assert after.status_code == 200
    assert after["ETag"] != before


def test_lists_have_a_validator_too(api, message) -> None:
    known = api.get("messages/")["ETag"]

    assert api.get("messages/", If_None_Match=known).status_code == 304
    MessageFactory(owner=message.owner)
    assert api.get("messages/", If_None_Match=known).status_code == 200


def test_the_etag_of_one_user_is_not_valid_for_another(api, stranger, anonymous, message) -> None:
    known = api.get(path(message))["ETag"]

    for value in (known, "*"):
        assert stranger.get(path(message), If_None_Match=value).status_code == 404
        assert anonymous.get(path(message), If_None_Match=value).status_code == 401


def test_one_users_list_is_never_anothers(api, stranger, message) -> None:
    mine = api.get("messages/")

    theirs = stranger.get("messages/", If_None_Match=mine["ETag"])

    assert [row["id"] for row in mine.json()["results"]] == [str(message.pk)]
    assert (theirs.status_code, theirs.json()["results"]) == (200, [])


def test_long_responses_are_compressed_for_clients_that_accept_it(api, message) -> None:
    plain = api.get(path(message))

    packed = api.get(path(message), **PACKED)

    assert "Content-Encoding" not in plain
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert json.loads(gzip.decompress(packed.content)) == plain.json()
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content)


def test_the_console_is_not_compressed_and_has_no_validator(admin_client) -> None:
    page = admin_client.get("/admin/", headers={"accept-encoding": "gzip"})

    assert page.status_code == 200
    assert not {"Content-Encoding", "ETag"} & set(page.headers)


@pytest.mark.usefixtures("media_folder")
def test_an_image_keeps_its_own_validator_and_length(api) -> None:
    asset = upload(api, pictures.encoded("PNG")).json()

    image = api.get(f"media/{asset['id']}/content/", **PACKED)

    assert "Content-Encoding" not in image
    assert int(image["Content-Length"]) == len(image.getvalue())
    assert image["ETag"] == f'"{asset["sha256"]}"'
    assert "immutable" in image["Cache-Control"]


@pytest.mark.usefixtures("installed")
def test_neither_a_change_nor_a_refusal_has_a_validator(api) -> None:
    posted = api.post("messages/", {"to": "+14155550101", "message": "Hello"})
    missing = api.get("messages/00000000-0000-7000-8000-000000000000/")

    assert (posted.status_code, missing.status_code) == (202, 404)
    assert not [answer for answer in (posted, missing) if "ETag" in answer]
