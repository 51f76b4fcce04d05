"""Fetching the media that callbacks name: from public addresses only, bounded, each once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta

import pytest

from media_store.errors import FileTooLarge
from media_store.models import MediaAsset
from messaging.models import Attachment, Message
from messaging.services.inbound import media, process
from messaging.services.inbound.media import DELAYS, LEASE, Fetcher, fetch_due
from messaging.services.representation import serialize_media
from providers.http import public_http
from providers.http.public_addresses import Guard
from providers.http.public_http import PublicHttp
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.factories import NOW, AccountFactory, MessageFactory, UserFactory
from tests.media_store import pictures
from tests.messaging.parallel import at_once

# The fetching threads have their own database connections.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media_folder")]
LOOPBACK = Guard.allowing(["127.0.0.0/8"])
PNG = pictures.encoded("PNG")


@pytest.fixture
def site() -> Iterator[FakeCarrier]:
    with closing(FakeCarrier()) as site:
        site.play = answer(200, PNG)
        yield site


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every attempt to connect; none of them leaves this machine."""
    attempts: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_args: object, **_kwargs: object) -> None:
        attempts.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(public_http, "create_connection", connect)
    return attempts


@pytest.fixture
def message():
    return MessageFactory(inbound=True, owner=UserFactory(), provider=AccountFactory(slug="acme"))


@pytest.fixture
def file(message) -> Callable[[str], Attachment]:
    def file(url: str, **changes) -> Attachment:
        place = message.attachments.count()
        Message.objects.filter(pk=message.pk).update(media_count=place + 1)
        return Attachment.objects.create(
            **{"message": message, "position": place, "source_url": url, "next_attempt_at": NOW, **changes}
        )

    return file


def fetch(guard: Guard = LOOPBACK, *, answers: Sequence[str] = (), at=NOW) -> int:
    http = PublicHttp(guard, resolve=lambda _host, _port: answers)
    return fetch_due(clock=lambda: at, fetcher=Fetcher(http))


def outcome(row: Attachment) -> tuple[bool, int, object, str]:
    """Whether the asset is stored, the attempts, the time of the next one, and the code of the error."""
    row.refresh_from_db()
    return row.asset_id is not None, row.attempts, row.next_attempt_at, row.error_code


def shown(message: Message) -> list:
    """The message's media as clients get them."""
    return serialize_media(Message.objects.get(pk=message.pk))


def test_an_image_is_stored_and_its_text_is_processed(site, message, file) -> None:
    row = file(f"{site.url}/1.png")
    Message.objects.filter(pk=message.pk).update(keyword_read_at=NOW)
    assert process.open_texts(NOW).exists() is False

    assert fetch() == 1

    assert outcome(row) == (True, 1, None, "")
    assert MediaAsset.objects.get().ownerships.get().owner == message.owner
    assert process.open_texts(NOW).exists() is True
    assert fetch() == 0
    assert len(site.received) == 1


def test_a_picture_is_fetched_without_credentials_when_the_backend_has_no_callbacks_any_more(
    site, message, file, send_only
) -> None:
    row = file(f"{site.url}/1.png")
    Message.objects.filter(pk=message.pk).update(provider=send_only)

    assert fetch() == 1

    assert outcome(row) == (True, 1, None, "")
    assert "authorization" not in site.received[0].headers


@pytest.mark.parametrize(
    ("url", "answers"),
    [
        ("http://127.0.0.1/1.png", []),
        ("http://[::1]/1.png", []),
        ("http://169.254.169.254/latest/meta-data/", []),
        ("http://2130706433/1.png", []),
        ("http://0177.0.0.1/1.png", []),
        ("http://0x7f.1/1.png", []),
        ("http://[::ffff:127.0.0.1]/1.png", []),
        ("http://localhost/1.png", ["127.0.0.1"]),
        ("http://pictures.example/1.png", ["10.0.0.5"]),
        ("http://pictures.example/1.png", ["93.184.215.14", "127.0.0.1"]),
        ("http://user:secret@93.184.215.14/1.png", []),
        ("ftp://93.184.215.14/1.png", []),
    ],
)
def test_a_url_that_is_not_public_is_given_up_without_a_connection(
    file, connected, url: str, answers: list[str]
) -> None:
    row = file(url)

    assert fetch(Guard(), answers=answers) == 1

    assert outcome(row) == (False, 1, None, "address_not_public")
    assert connected == []
    assert not MediaAsset.objects.exists()


def test_a_redirect_to_an_address_that_is_not_public_is_not_followed(site, file) -> None:
    site.play = answer(302, b"", {"Location": "http://169.254.169.254/latest/"})
    row = file(f"{site.url}/1.png")

    fetch()

    is_here, _, next_attempt_at, error = outcome(row)
    assert (is_here, next_attempt_at, bool(error)) == (False, None, True)
    assert len(site.received) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html></html>", "not_accepted"),
        (b"", "not_accepted"),
        (PNG[:-20], "damaged"),
        (pictures.encoded("PNG", pictures.picture(40, 40)), "too_large"),
    ],
    ids=["html", "empty", "truncated", "pixels"],
)
def test_an_invalid_image_is_given_up_with_its_reason(site, file, settings, content: bytes, code: str) -> None:
    settings.MEDIA_MAX_PIXELS = 1_500
    site.play = answer(200, content)
    row = file(f"{site.url}/1.png")

    fetch()

    assert outcome(row) == (False, 1, None, code)
    assert row.error.endswith(".")
    assert shown(row.message) == [{"error": code, "detail": row.error}]
    assert not MediaAsset.objects.exists()


def test_a_file_that_is_too_large_is_given_up(site, message, file, settings) -> None:
    settings.MEDIA_MAX_BYTES = len(PNG) - 1
    row = file(f"{site.url}/1.png")

    fetch()

    assert outcome(row) == (False, 1, None, "too_large")
    assert shown(message) == [{"error": "too_large", "detail": FileTooLarge(len(PNG) - 1).detail}]


def test_a_file_that_is_waited_for_is_not_shown_and_a_lost_one_is(site, message, file) -> None:
    site.play = answer(503, b"")
    row, gone = file(f"{site.url}/1.png"), file(f"{site.url}/2.png", next_attempt_at=None, error="it is gone")
    unsaid = file(f"{site.url}/3.png", next_attempt_at=None)

    fetch()

    assert outcome(row) == (False, 1, NOW + DELAYS[0], "")
    assert row.error == "The file could not be fetched: the response status is 503."
    # Given up by an older version, which kept no codes.
    assert (gone.error_code, unsaid.error_code) == ("", "")
    assert shown(message) == [
        {"error": "unavailable", "detail": "The file could not be fetched: it is gone."},
        {"error": "unavailable", "detail": "The file could not be fetched."},
    ]


VCARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada\r\nEND:VCARD\r\n"


def test_a_file_that_is_no_image_is_kept_if_the_setting_takes_it(site, file, media_folder, settings) -> None:
    settings.INBOUND_FILE_TYPES = ["vcard"]
    site.play = answer(200, VCARD)
    row = file(f"{site.url}/1.vcf")

    fetch()

    assert outcome(row) == (True, 1, None, "")
    asset = MediaAsset.objects.get()
    assert (asset.content_type, asset.size, asset.width, asset.height) == ("text/vcard", len(VCARD), None, None)
    assert shown(row.message) == [str(asset.pk)]
    assert len(media_folder.names()) == 1


@pytest.mark.parametrize("accepted", [["pdf", "audio", "video"], []])
def test_a_file_of_a_type_that_is_not_taken_is_given_up(site, file, media_folder, settings, accepted) -> None:
    settings.INBOUND_FILE_TYPES = accepted
    site.play = answer(200, VCARD)
    row = file(f"{site.url}/1.vcf")

    fetch()

    assert outcome(row) == (False, 1, None, "not_accepted")
    assert not MediaAsset.objects.exists()
    assert media_folder.names() == []


def test_a_failing_site_is_retried_by_the_table_and_then_given_up(site, file) -> None:
    site.play = answer(503, b"")
    row = file(f"{site.url}/1.png")

    at, times = NOW, []
    while row.next_attempt_at is not None:
        assert fetch(at=at) == 1
        row.refresh_from_db()
        if row.next_attempt_at is not None:
            times.append(row.next_attempt_at - at)
            assert fetch(at=row.next_attempt_at - timedelta(seconds=1)) == 0
            at = row.next_attempt_at

    assert times == list(DELAYS)
    assert row.attempts == len(DELAYS) + 1 == len(site.received)
    assert outcome(row)[3] == "unavailable"


def test_the_same_image_twice_is_one_file_of_the_message(site, message, file) -> None:
    first, second = file(f"{site.url}/1.png"), file(f"{site.url}/2.png")

    assert fetch() == 2

    message.refresh_from_db()
    assert message.media_count == 1
    assert Attachment.objects.filter(pk__in=[first.pk, second.pk], asset__isnull=False).count() == 1
    assert (Attachment.objects.count(), MediaAsset.objects.count()) == (1, 1)


def test_a_file_of_a_dead_worker_is_due_again_after_the_lease(site, file) -> None:
    row = file(f"{site.url}/1.png", next_attempt_at=NOW + LEASE, attempts=1)

    assert fetch() == 0
    assert fetch(at=NOW + LEASE) == 1
    assert outcome(row)[0] is True


def test_a_file_that_kills_every_worker_is_given_up(site, file) -> None:
    row = file(f"{site.url}/1.png", attempts=len(DELAYS) + 1)

    fetch()

    assert outcome(row) == (False, len(DELAYS) + 2, None, "failed")
    assert site.received == []


def test_a_bug_does_not_stop_the_other_files(site, file, monkeypatch) -> None:
    rows = [file(f"{site.url}/{number}.png") for number in range(2)]
    store = media.media.store
    faults = [KeyError("x")]

    def fail(**arguments):
        if faults:
            raise faults.pop()
        return store(**arguments)

    monkeypatch.setattr("messaging.services.inbound.media.media.store", fail)

    fetch()

    assert sorted(outcome(row)[0] for row in rows) == [False, True]
    assert sorted(row.error for row in rows) == ["", "The file could not be processed."]


def test_two_workers_fetch_each_file_once(site, file) -> None:
    for number in range(4):
        file(f"{site.url}/{number}.png")

    at_once([fetch, fetch])

    assert len(site.received) == 4
