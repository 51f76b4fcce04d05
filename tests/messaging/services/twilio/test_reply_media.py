"""The media of replies that applications give as TwiML."""

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError

from messaging.models import Attachment, Message, WebhookDelivery
from messaging.services.twilio import media, replies
from messaging.services.webhooks.settle import Result
from providers.http.public_http import FetchFailed
from tests.factories import (
    NOW,
    AccountFactory,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
)
from tests.media_store import pictures
from tests.messaging.services.twilio.applications import (
    OURS,
    PERSON,
    result_of,
    sent,
    text_of,
)

pytestmark = pytest.mark.django_db


class TestMedia:
    """The files are fetched after the call and before its delivery is settled."""

    URL, OTHER = "https://m.example.com/a.png", "https://m.example.com/b.png"
    BOTH = f"<Message><Body>Look</Body><Media>{URL}</Media><Media>{OTHER}</Media></Message><Message>Next</Message>"

    @pytest.fixture(autouse=True)
    def _carrier(self, owner: User, media_folder) -> None:
        AccountFactory(config={"url": "http://127.0.0.1:9/", "fields": {"media": "media_urls"}})
        owner.user_permissions.add(Permission.objects.get(codename="add_mediaasset"))

    @pytest.fixture
    def web(self, application) -> list[str]:
        """The addresses that are fetched, each with an image of its own."""
        fetched: list[str] = []

        def fetch(url: str, **_: object) -> Iterator[bytes]:
            fetched.append(url)
            if "missing" in url:
                raise FetchFailed("the response status is 404", retryable=False, status=404)
            yield pictures.encoded("PNG", pictures.picture(shade=len(fetched)))

        application.fetch = lambda result: replies.fetch_media(result, now=NOW, fetch=fetch)
        return fetched

    def test_they_are_sent_with_their_message(self, owner: User, application, web) -> None:
        text_of(owner)

        assert application.run(self.BOTH) == ""

        message = Message.objects.get(text="Look")
        assert [text for _, _, text in sent()] == ["Look", "Next"]
        assert (message.media_count, web) == (2, [self.URL, self.OTHER])
        assets = [file.asset for file in message.attachments.select_related("asset")]
        assert [asset.owners.get() for asset in assets if asset] == [owner, owner]

    def test_a_message_may_be_a_picture_alone(self, owner: User, application, web) -> None:
        text_of(owner)

        assert application.run(f"<Message><Media>{self.URL}</Media></Message>") == ""

        assert (Message.objects.get(direction="outbound").media_count, sent()) == (1, [(OURS, PERSON, "")])

    def test_without_its_file_a_message_is_not_sent(self, owner: User, application, web) -> None:
        text_of(owner)

        note = application.run(self.BOTH.replace(self.OTHER, "https://m.example.com/missing"))

        assert (sent(), note) == ([(OURS, PERSON, "Next")], replies.NO_MEDIA)
        assert not Attachment.objects.exists()

    def test_as_many_are_fetched_as_a_message_may_have(self, owner: User, application, web) -> None:
        text_of(owner)
        many = "".join(f"<Message>{n}<Media>https://m.example.com/{n}</Media></Message>" for n in range(12))

        assert application.run(many) == replies.NO_MEDIA

        assert (len(web), len(sent())) == (10, 10)

    def test_no_time_is_left_after_slow_ones(self, owner: User, application, web, monkeypatch) -> None:
        text_of(owner)
        monkeypatch.setattr(replies, "FETCH_SECONDS", 0.0)

        assert application.run(self.BOTH) == replies.NO_MEDIA

        assert (web, sent()) == ([], [(OURS, PERSON, "Next")])

    def test_a_fault_while_fetching_is_a_failed_delivery(self, owner: User, application) -> None:
        text_of(owner)

        def fail(_result: Result) -> dict[str, UUID]:
            raise OperationalError("the connection is lost")

        application.fetch = fail
        with pytest.raises(AssertionError):
            application.run(self.BOTH)

        delivery = WebhookDelivery.objects.get()
        assert (delivery.state, delivery.error, sent()) == ("pending", "Not delivered: our own failure.", [])

    def test_requests_of_clients_that_fetch_do_not_matter(self, owner: User, application, web, monkeypatch) -> None:
        text_of(owner)
        monkeypatch.setattr(media, "_fetching", threading.BoundedSemaphore(1))
        monkeypatch.setattr(media, "WAIT_SECONDS", 0.0)

        with media._fetching:
            assert application.run(self.BOTH) == ""

        assert [text for _, _, text in sent()] == ["Look", "Next"]

    def test_without_a_place_for_files_the_delivery_is_repeated(
        self, owner: User, application, web, monkeypatch
    ) -> None:
        text_of(owner)

        def fail(**_: object) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(media.media, "store", fail)
        with pytest.raises(AssertionError):
            application.run(self.BOTH)

        assert (WebhookDelivery.objects.get().state, sent()) == ("pending", [])

    @pytest.mark.parametrize("case", ["status callback", "test delivery", "no permission", "another dialect"])
    def test_nothing_is_fetched_in_vain(self, owner: User, application, web, case: str) -> None:
        match case:
            case "status callback":
                message = MessageFactory(
                    delivered=True, owner=owner, callback_url="https://app.example.com/", callback_dialect="twilio"
                )
                ClientEventFactory(message=message)
            case "test delivery":
                endpoint = EndpointFactory(owner=owner, dialect="twilio")
                WebhookDelivery.objects.create(endpoint=endpoint, next_attempt_at=NOW, created_at=NOW)
            case "no permission":
                owner.user_permissions.remove(Permission.objects.get(codename="add_mediaasset"))
                text_of(owner)
            case _:
                result = result_of(text_of(owner), f"<Response>{self.BOTH}</Response>", dialect="")
                assert application.fetch(result) == {}

        application.run(self.BOTH)

        assert web == ([self.URL, self.OTHER] if case == "another dialect" else [])
