"""`media` of messages: ids of the files that are kept, and why the others are not."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from media_store import services as media
from messaging.file_errors import DETAILS, MAX_DETAIL, FileError
from messaging.models import Attachment, ClientEvent, Message
from messaging.services import events
from messaging.services.privacy import retention
from messaging.services.webhooks import live_events
from tests.factories import NOW, ClientEventFactory, MessageFactory
from tests.media_store import other_files

pytestmark = pytest.mark.usefixtures("media_folder")
URL = "https://carrier.example/1"
LOST = [
    {"error": "too_large", "detail": "The file is larger than 5 bytes."},
    {"error": "not_kept", "detail": DETAILS[FileError.NOT_KEPT]},
]


@pytest.fixture
def asset(api):
    content_type, card = other_files.KINDS["vcard"]
    return media.store(owner=api.user, stream=[card], now=NOW, allow_files={content_type}).asset


@pytest.fixture
def message(api, asset) -> Message:
    """With a kept file, a file that is being fetched, and two lost ones."""
    message = MessageFactory(inbound=True, status="received", owner=api.user, media_count=4)
    rows = [
        {"source_url": URL, "error_code": "too_large", "error": "The file is larger than 5 bytes."},
        {"source_url": URL, "asset": asset},
        {"source_url": URL, "next_attempt_at": NOW, "error": "The file could not be fetched: 503."},
        {"error_code": "not_kept"},
    ]
    for position, row in enumerate(rows):
        Attachment.objects.create(message=message, position=position, **row)
    return message


def test_detail_and_list_tell_what_is_kept_and_what_is_lost(api, message, asset) -> None:
    wanted = [LOST[0], str(asset.pk), LOST[1]]

    assert api.get(f"messages/{message.pk}/").json()["media"] == wanted
    assert api.get("messages/").json()["results"][0]["media"] == wanted
    assert [row["id"] for row in api.get(f"messages/{message.pk}/media/").json()] == [str(asset.pk)]


def test_erasing_a_message_removes_its_files_and_what_is_said_of_the_lost_ones(api, message, media_folder) -> None:
    assert len(media_folder.names()) == 1

    retention.erase_texts([message.pk], now=NOW)

    assert api.get(f"messages/{message.pk}/").json()["media"] == []
    assert not Attachment.objects.exists()
    assert api.get("media/").json()["count"] == 0


@pytest.mark.django_db(transaction=True)
def test_the_file_itself_is_deleted_too(api, message, media_folder) -> None:
    retention.delete_messages([message], now=NOW)

    assert media_folder.names() == []


def test_the_event_tells_it_too(api, message, asset) -> None:
    event = ClientEventFactory(message=message, owner=api.user, type="message.received", sequence=1)

    body = events.body(event, message)
    page = live_events.read(owner_id=api.user.pk, message_id=None, after=0)

    assert ClientEvent.objects.count() == 1
    assert body is not None
    assert body["data"]["media"] == page.events[0]["data"]["media"] == [LOST[0], str(asset.pk), LOST[1]]


def test_a_list_with_lost_files_takes_as_many_queries_as_without(api, message) -> None:
    with CaptureQueriesContext(connection) as one:
        api.get("messages/")
    for _ in range(4):
        other = MessageFactory(inbound=True, status="processed", owner=api.user, media_count=1)
        Attachment.objects.create(message=other, position=0, error_code="not_kept")

    with CaptureQueriesContext(connection) as five:
        assert api.get("messages/").json()["count"] == 5

    assert len(five) == len(one)


def test_a_file_is_described_without_pixels(api, asset) -> None:
    body = api.get(f"media/{asset.pk}/").json()

    assert (body["content_type"], body["width"], body["height"]) == ("text/vcard", None, None)
    assert api.get("media/").json()["results"] == [body]


def test_every_code_has_a_sentence_that_its_column_holds() -> None:
    assert set(DETAILS) == set(FileError)
    assert all(detail.endswith(".") and len(detail) <= MAX_DETAIL for detail in DETAILS.values())
    assert Attachment._meta.get_field("error").max_length == MAX_DETAIL
    longest = Attachment._meta.get_field("error_code").max_length
    assert longest is not None
    assert all(len(code) <= longest for code in FileError)


def test_the_schema_has_both_forms(api) -> None:
    schema = api.get("/api/schema/?format=json").json()

    item = schema["components"]["schemas"]["Message"]["properties"]["media"]["items"]
    assert [each["type"] for each in item["oneOf"]] == ["string", "object"]
    assert item["oneOf"][1]["properties"]["error"]["enum"] == [code.value for code in FileError]
    sizes = schema["components"]["schemas"]["MediaAsset"]["properties"]
    assert [sizes[name]["type"] for name in ("width", "height")] == [["integer", "null"]] * 2
