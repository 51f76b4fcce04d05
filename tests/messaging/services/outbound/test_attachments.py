"""Media of outbound messages: accounts that support them, and the URLs that providers get."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from media_store import services as media
from messaging.models import Message
from messaging.services.errors import DomainError, InvalidField
from messaging.services.outbound.dispatch.media import urls_of
from messaging.services.outbound.submit import MessageInput, submit
from providers.contract.media_limits import NO_LIMITS
from tests.factories import AccountFactory, SenderFactory, UserFactory
from tests.media_store import other_files, pictures
from tests.messaging.services.outbound.dispatch.fakes import Carrier, dispatcher

pytestmark = pytest.mark.usefixtures("express", "media_folder")
TO, OURS = "+14155550101", "+15005550006"
URL = "http://127.0.0.1:9/"


@pytest.fixture
def owner(db):
    return UserFactory()


@pytest.fixture
def picture(owner, now) -> UUID:
    return media.store(owner=owner, stream=[pictures.encoded("PNG")], now=now).asset.pk


@pytest.fixture
def send(owner, now):
    def send(*assets: UUID, **changes) -> Message:
        draft = MessageInput(**{"to": TO, "text": "Look", "valid_for": 60, "media": assets, **changes})
        return submit(owner=owner, draft=draft, default_queue="express", now=now)

    return send


@pytest.fixture
def mms(db):
    return AccountFactory(slug="mms", weight=1, config={"url": URL, "fields": {"media": "media_urls"}})


def refusal(send, *assets: UUID, **changes) -> tuple[str, str]:
    with pytest.raises(DomainError) as caught:
        send(*assets, **changes)
    assert isinstance(caught.value, InvalidField)
    assert not Message.objects.exists()
    return caught.value.field, caught.value.field_code


def test_an_unknown_asset_is_refused(send, mms) -> None:
    assert refusal(send, uuid7()) == ("media", "unknown_asset")


def test_a_file_that_is_no_image_is_refused(send, mms, owner, picture, now) -> None:
    content_type, card = other_files.KINDS["vcard"]
    asset = media.store(owner=owner, stream=[card], now=now, allow_files={content_type}).asset.pk

    assert refusal(send, picture, asset) == ("media", "not_an_image")


def test_another_users_asset_is_refused(send, mms, now) -> None:
    theirs = media.store(owner=UserFactory(), stream=[pictures.encoded("PNG")], now=now).asset.pk

    assert refusal(send, theirs) == ("media", "unknown_asset")


@pytest.mark.parametrize(
    "config",
    [{"url": URL}, {"url": URL, "fields": {"media": "m"}, "denied_prefixes": ["+1"]}],
    ids=["no files", "not this number"],
)
def test_media_are_refused_when_no_account_supports_them(send, picture, config: dict) -> None:
    AccountFactory(config=config)

    assert refusal(send, picture) == ("media", "media_not_supported")


def test_media_are_refused_for_the_sender_of_an_account_without_media(send, picture, mms) -> None:
    SenderFactory(number=OURS, account=AccountFactory(config={"url": URL}))

    assert refusal(send, picture, sender=OURS) == ("media", "media_not_supported")


def test_only_an_account_with_media_gets_them_with_readable_urls(send, picture, mms, settings, now) -> None:
    settings.PUBLIC_URL = "https://sms.example.com"
    AccountFactory(slug="plain", weight=1000, config={"url": URL})
    for _ in range(5):
        send(picture)
    carrier = Carrier()

    dispatcher(carrier).run("express")

    assert carrier.slugs == ["mms"] * 5
    [url] = urls_of(carrier.calls[0].media, NO_LIMITS, now=now)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "sms.example.com")
    assert parts.path == f"/api/v1/media/{picture}/content/"
    assert int(parse_qs(parts.query)["expires"][0]) == int((now + timedelta(days=1)).timestamp())
