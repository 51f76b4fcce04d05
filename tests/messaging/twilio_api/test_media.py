"""MediaUrl: fetched or found before the message is accepted; and the media of a message."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone

from media_store import services as media_store
from media_store.models import MediaAsset, MediaOwnership
from messaging import twilio_ids
from messaging.models import Attachment, Message
from messaging.services.twilio import media
from messaging.services.twilio.errors import MediaUnavailable
from providers.http.public_addresses import AddressRefused
from providers.http.public_http import FetchFailed, TooLarge
from providers.models import ProviderAccount
from tests.factories import NOW, AccountFactory, MessageFactory, UserFactory
from tests.media_store import other_files, pictures
from tests.messaging.twilio_api.conftest import SENDER, TO, Twilio, message_of, sdk, twilio_of
from tests.messaging.twilio_api.facts import assert_error, assert_page, assert_resource

pytestmark = pytest.mark.usefixtures("media_folder")
ONE, TWO = (pictures.encoded("PNG", pictures.picture(shade=shade)) for shade in (1, 2))
URL, OTHER = "https://example.com/one.png", "https://example.com/two.png"


class Web:
    """Serves contents by their address; an exception is raised. `fetched` are the addresses in order."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes | Exception] = {URL: ONE, OTHER: TWO}
        self.fetched: list[str] = []

    def __call__(self, url: str, *, max_bytes: int, deadline_seconds: float) -> Iterator[bytes]:
        assert (max_bytes, deadline_seconds <= media.DEADLINE_SECONDS) == (settings.MEDIA_MAX_BYTES, True)
        self.fetched.append(url)
        found = self.contents[url]
        if isinstance(found, Exception):
            raise found
        yield found


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    web = Web()
    monkeypatch.setattr(media, "default_fetch", web)
    return web


@pytest.fixture(autouse=True)
def _carrier(db: None) -> None:
    AccountFactory(slug="mms", config={"url": "http://127.0.0.1:9/", "fields": {"media": "media_urls"}})


def uploaded(user, content: bytes = ONE) -> MediaAsset:
    return media_store.store(owner=user, stream=[content], now=NOW).asset


def link(asset: MediaAsset, lifetime: timedelta = timedelta(hours=1)) -> str:
    return media_store.signed_url(asset, public_url=settings.PUBLIC_URL, lifetime=lifetime, now=timezone.now())


def test_the_sdk_sends_two_pictures_without_a_text(client, twilio: Twilio, web: Web) -> None:
    sent = client.messages.create(to=TO, from_=SENDER, media_url=[URL, OTHER])

    row = message_of(sent.sid)
    assert (sent.sid[:2], sent.num_media, sent.body, row.media_count) == ("MM", "2", "", 2)
    assert [attachment.asset.size for attachment in row.attachments.all()] == [len(ONE), len(TWO)]
    assert web.fetched == [URL, OTHER]


def test_a_picture_named_twice_is_sent_once(twilio: Twilio, web: Web) -> None:
    web.contents[OTHER] = ONE

    response = twilio.send(MediaUrl=[URL, URL, OTHER])

    assert (response.status_code, response.json()["num_media"]) == (201, "1")
    assert web.fetched == [URL, OTHER]


@pytest.mark.parametrize(
    "fault",
    [
        AddressRefused("private"), TooLarge("large"), FetchFailed("404", retryable=False, status=404),
        FetchFailed("slow", retryable=True),
    ],
)  # fmt: skip
def test_nothing_is_accepted_when_one_cannot_be_fetched(twilio: Twilio, web: Web, fault: Exception) -> None:
    web.contents[OTHER] = fault

    assert_error(twilio.send(MediaUrl=[URL, OTHER]), 400, 21620)
    assert not Message.objects.exists()


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", ONE[:60]])
def test_what_is_no_picture_is_refused(twilio: Twilio, web: Web, content: bytes) -> None:
    web.contents[URL] = content

    assert_error(twilio.send(MediaUrl=URL), 400, 21620)


def test_a_file_that_came_in_is_no_picture_either(twilio: Twilio, web: Web) -> None:
    content_type, card = other_files.KINDS["vcard"]
    asset = media_store.store(owner=twilio.user, stream=[card], now=NOW, allow_files={content_type}).asset

    assert_error(twilio.send(MediaUrl=link(asset)), 400, 21620)
    assert not Message.objects.exists()
    assert web.fetched == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.png", "file:///etc/passwd", "http://[::1]/", "a", "https://a b/"])
def test_private_addresses_are_not_called(twilio: Twilio, url: str) -> None:
    assert_error(twilio.send(MediaUrl=url), 400, 21620)


def test_the_other_parameters_are_checked_before_anything_is_fetched(twilio: Twilio, web: Web) -> None:
    assert_error(twilio.send(MediaUrl=URL, ValidityPeriod="x"), 400, 20001)
    assert web.fetched == []


def test_without_an_account_for_media_they_are_refused(twilio: Twilio, web: Web) -> None:
    ProviderAccount.objects.all().delete()

    assert_error(twilio.send(MediaUrl=URL), 400, 21612)


def test_a_repeat_with_a_key_fetches_nothing_again(twilio: Twilio, web: Web) -> None:
    fields = f"To={quote(TO)}&From={quote(SENDER)}&MediaUrl={quote(URL)}"

    first, second = (twilio("POST", "Messages.json", data=fields, Idempotency_Key="once") for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert web.fetched == [URL]


class TestOurOwnAddresses:
    def test_an_uploaded_picture_is_not_fetched(self, twilio: Twilio, web: Web) -> None:
        asset = uploaded(twilio.user)
        path = f"{settings.PUBLIC_URL}/api/v1/media/{asset.pk}/content"

        for url in (f"{path}/", path, link(asset)):
            row = message_of(twilio.send(MediaUrl=url).json()["sid"])
            assert [each.asset_id for each in row.attachments.all()] == [asset.pk]
        assert web.fetched == []

    def test_a_signed_link_of_another_user_gives_access(self, twilio: Twilio, web: Web) -> None:
        asset = uploaded(UserFactory())

        assert twilio.send(MediaUrl=link(asset)).status_code == 201
        assert MediaOwnership.objects.filter(asset=asset, owner=twilio.user).exists()

    def test_others_pictures_are_refused(self, twilio: Twilio, web: Web) -> None:
        asset = uploaded(UserFactory())
        bare = f"{settings.PUBLIC_URL}/api/v1/media/{asset.pk}/content/"

        for url in (bare, f"{bare}?expires=99999999999&signature=x", link(asset, -timedelta(hours=1))):
            assert_error(twilio.send(MediaUrl=url), 400, 21620)
        assert not MediaOwnership.objects.filter(owner=twilio.user).exists()

    def test_the_media_of_a_received_message_can_be_sent_on(self, twilio: Twilio, web: Web) -> None:
        row, asset = with_media(twilio)
        url = f"{settings.PUBLIC_URL}/2010-04-01/Accounts/{twilio.sid}/Messages/MM{row.pk.hex}/Media/ME{asset.pk.hex}"

        assert twilio.send(MediaUrl=url).json()["num_media"] == "1"
        assert web.fetched == []


def test_few_requests_fetch_at_once(twilio: Twilio, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_fetching", threading.BoundedSemaphore(1))
    monkeypatch.setattr(media, "WAIT_SECONDS", 0.01)

    with media._fetching:
        with pytest.raises(MediaUnavailable):
            media.assets_of([URL], owner=twilio.user, now=NOW)
        response = twilio.send(MediaUrl=URL)
        assert_error(response, 503, 20503)
        assert response.headers["Retry-After"] == "5"
        assert twilio.send().status_code == 201
    assert twilio.send(MediaUrl=URL).status_code == 201


def test_all_files_have_one_deadline(twilio: Twilio, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "DEADLINE_SECONDS", 0.0)

    assert_error(twilio.send(MediaUrl=URL), 400, 21620)
    assert web.fetched == []


# --- The media of a message -------------------------------------------------------------------------------------------


def with_media(twilio: Twilio, status: str = "processed", *contents: bytes) -> tuple[Message, MediaAsset]:
    assets = [uploaded(twilio.user, content) for content in contents or (ONE,)]
    traits = {"inbound": True} if status in {"received", "processed"} else {}
    row = MessageFactory(owner=twilio.user, status=status, media_count=len(assets), **traits)
    for position, asset in enumerate(assets):
        Attachment.objects.create(message=row, position=position, asset=asset)
    return row, assets[0]


def test_the_sdk_lists_fetches_and_deletes_media(twilio: Twilio) -> None:
    row, asset = with_media(twilio)
    message = sdk(twilio).messages(twilio_ids.message_sid(row))

    [listed] = message.media.list()
    fetched = message.media(listed.sid).fetch()
    assert (listed.sid, fetched.content_type, fetched.parent_sid) == (
        f"ME{asset.pk.hex}", "image/png", twilio_ids.message_sid(row),
    )  # fmt: skip
    assert message.media(listed.sid).delete() is True

    assert message.media.list() == []
    assert (message.fetch().num_media, message.fetch().sid) == ("0", f"MM{row.pk.hex}")
    assert not MediaAsset.objects.exists()
    assert_error(twilio.get(f"Messages/SM{row.pk.hex}/Media/ME{asset.pk.hex}.json"), 404, 20404)


def test_only_files_that_are_kept_are_counted(twilio: Twilio) -> None:
    row, _ = with_media(twilio)
    Message.objects.filter(pk=row.pk).update(media_count=3)
    Attachment.objects.create(message=row, position=7, error_code="not_kept")
    Attachment.objects.create(message=row, position=8, source_url=URL, next_attempt_at=NOW)
    client = sdk(twilio)

    assert client.messages(twilio_ids.message_sid(row)).fetch().num_media == "1"
    assert [message.num_media for message in client.messages.list()] == ["1"]


def test_media_are_as_documented_and_the_address_without_json_is_the_file(twilio: Twilio) -> None:
    row, asset = with_media(twilio)
    path = f"Messages/MM{row.pk.hex}/Media"

    assert_page("media_list", "media", twilio.get(f"{path}.json").json())
    assert_resource("media", twilio.get(f"{path}/ME{asset.pk.hex}.json").json())
    content = twilio.get(f"{path}/ME{asset.pk.hex}")
    assert b"".join(content.streaming_content) == ONE
    assert content.headers["Content-Type"] == "image/png"


def test_the_pages_of_media(twilio: Twilio) -> None:
    row, _ = with_media(twilio, "processed", ONE, TWO)
    page = twilio.get(f"Messages/MM{row.pk.hex}/Media.json", PageSize=1).json()

    second = twilio.get(page["next_page_uri"]).json()

    assert_page("media_list", "media", second)
    assert page["media_list"][0]["sid"] != second["media_list"][0]["sid"]
    assert second["next_page_uri"] is None
    assert twilio.get(second["previous_page_uri"]).json()["media_list"] == page["media_list"]
    assert twilio.get(f"Messages/MM{row.pk.hex}/Media.json?DateCreated%3C=2001-01-01").json()["media_list"] == []


def test_media_of_a_waiting_message_stay(twilio: Twilio) -> None:
    row, asset = with_media(twilio, "queued")

    assert_error(twilio.delete(f"Messages/MM{row.pk.hex}/Media/ME{asset.pk.hex}.json"), 409, 20009)
    assert row.attachments.exists()


def test_a_picture_of_two_messages_stays_for_the_other(twilio: Twilio) -> None:
    (row, asset), (other, _) = with_media(twilio), with_media(twilio)

    assert twilio.delete(f"Messages/MM{row.pk.hex}/Media/ME{asset.pk.hex}.json").status_code == 204
    assert [each.asset_id for each in other.attachments.all()] == [asset.pk]
    assert MediaOwnership.objects.filter(asset=asset, owner=twilio.user).exists()


def test_media_of_others_are_not_seen(twilio: Twilio) -> None:
    row, asset = with_media(twilio)
    other = twilio_of(UserFactory(is_superuser=True))

    for method in ("GET", "DELETE"):
        assert_error(other(method, f"Messages/MM{row.pk.hex}/Media/ME{asset.pk.hex}.json"), 404, 20404)
    unattached = uploaded(twilio.user, TWO)
    for sid in (f"ME{unattached.pk.hex}", f"ME{UUID(int=1).hex}", "MEx"):
        assert_error(twilio.get(f"Messages/MM{row.pk.hex}/Media/{sid}.json"), 404, 20404)
