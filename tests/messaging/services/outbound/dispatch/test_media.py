"""Media as an account takes them: which copies are sent, where they are made, and what becomes of those that do not fit."""

import io
import json
import threading
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import OperationalError, connection
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from media_store import scaling
from media_store import services as media_store
from media_store.models import MediaAsset, MediaRendition
from media_store.scaling import Profile
from media_store.validation.decoding import ONE_AT_A_TIME
from messaging.models import DeliveryAttempt, Message
from messaging.services.outbound import attachments
from messaging.services.outbound.dispatch import Dispatcher, media
from messaging.services.outbound.dispatch.media import fit
from messaging.services.outbound.submit import MessageInput, submit
from providers.contract.media_limits import NO_LIMITS, MediaLimits
from providers.errors import MediaRefused
from providers.models import ProviderAccount
from providers.state import circuit_breaker
from tests.contract.fake_carrier import FakeCarrier, answer
from tests.factories import AccountFactory, QueueFactory, UserFactory
from tests.media_store import pictures
from tests.messaging.parallel import at_once
from tests.messaging.services.outbound.dispatch.fakes import LEASE, dispatcher

pytestmark = pytest.mark.usefixtures("express", "media_folder")
TO = "+14155550101"
JPEG_ONLY = {"content_types": ["image/jpeg"]}


def image(size: int, content_type: str = "image/jpeg", **changes) -> MediaAsset:
    return MediaAsset(**{"content_type": content_type, "size": size, "width": 400, "height": 300, **changes})


def pdf(size: int) -> MediaAsset:
    return MediaAsset(content_type="application/pdf", size=size)


class TestFit:
    @pytest.mark.parametrize(
        ("limits", "assets", "profiles"),
        [
            (MediaLimits(), [image(9_000_000, "image/webp"), pdf(9_000_000)], ["", ""]),
            (MediaLimits(message_bytes=590_000), [image(590_000)], [""]),
            (MediaLimits(message_bytes=590_000), [image(590_001)], ["590000b-jpeg"]),
            (MediaLimits(message_bytes=590_000), [image(9_000_000, clean_size=590_000)], [""]),
            (MediaLimits(message_bytes=597_000), [image(600_000)], ["590000b-jpeg"]),
            (MediaLimits(file_bytes=100_000), [image(100_001), image(100_000)], ["100000b-jpeg", ""]),
            (MediaLimits(message_bytes=590_000, file_bytes=100_000), [image(100_001)], ["100000b-jpeg"]),
            (MediaLimits(max_side=400), [image(1), image(1, height=401)], ["", "400px-jpeg"]),
            (MediaLimits(message_bytes=590_000, max_side=100), [image(1)], ["590000b-100px-jpeg"]),
            (MediaLimits(content_types=frozenset({"image/jpeg"})), [image(1, "image/webp"), image(1)], ["jpeg", ""]),
            (
                MediaLimits(content_types=frozenset({"image/jpeg"})),
                [image(9, "image/heic", clean_size=7, clean_content_type="image/jpeg")],
                [""],
            ),
            # Small images leave what they do not need to the others.
            (MediaLimits(message_bytes=590_000), [image(90_000), image(600_000)], ["", "500000b-jpeg"]),
            (MediaLimits(message_bytes=590_000), [image(400_000), image(600_000)], ["290000b-jpeg"] * 2),
            (
                MediaLimits(message_bytes=590_000, content_types=frozenset({"image/jpeg"})),
                [image(90_000, "image/webp"), image(400_000)],
                ["290000b-jpeg"] * 2,
            ),
            # Files that are no images take what they need.
            (MediaLimits(message_bytes=590_000), [pdf(490_000), image(600_000)], ["", "100000b-jpeg"]),
        ],
    )
    def test_the_copy_of_each_file(self, limits, assets, profiles) -> None:
        assert [profile.name if profile else "" for profile in fit(assets, limits)] == profiles

    @pytest.mark.parametrize(
        ("limits", "assets", "code"),
        [
            (MediaLimits(message_bytes=590_000), [pdf(590_001)], "media_too_large"),
            (MediaLimits(message_bytes=590_000), [pdf(300_000), pdf(300_000)], "media_too_large"),
            (MediaLimits(message_bytes=590_000), [pdf(590_000), image(1)], "media_too_large"),
            (MediaLimits(file_bytes=100_000), [pdf(100_001)], "media_too_large"),
            (MediaLimits(message_bytes=10_000), [image(9_000)] * 6, "media_too_large"),
            (MediaLimits(content_types=frozenset({"image/jpeg"})), [pdf(1)], "media_type_refused"),
        ],
    )
    def test_what_cannot_fit_is_refused(self, limits, assets, code: str) -> None:
        with pytest.raises(MediaRefused) as caught:
            fit(assets, limits)

        assert caught.value.error_code == code

    @settings(max_examples=300, deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=10),
        others=st.lists(st.integers(1, 20_000), max_size=2),
        webp=st.booleans(),
        message_bytes=st.integers(100_000, 6_000_000),
    )
    def test_all_files_together_always_fit(self, sizes, others, webp: bool, message_bytes: int) -> None:
        limits = MediaLimits(message_bytes=message_bytes, content_types=frozenset({"image/jpeg", "application/pdf"}))
        kind = "image/webp" if webp else "image/jpeg"
        assets = [*(image(size, kind) for size in sizes), *(pdf(size) for size in others)]

        profiles = fit(assets, limits)

        most = [profile.max_bytes if profile else asset.size for asset, profile in zip(assets, profiles, strict=True)]
        assert sum(most) <= message_bytes
        assert profiles[len(sizes) :] == [None] * len(others)


@pytest.fixture
def owner(db):
    return UserFactory()


@pytest.fixture
def carrier():
    carrier = FakeCarrier()
    carrier.play = answer(200, json.dumps({"message_id": "p1"}).encode())
    yield carrier
    carrier.close()


@pytest.fixture
def send(owner, now):
    """Accepts a message with these images."""

    def send(*contents: bytes, to: str = TO) -> Message:
        stored = [media_store.store(owner=owner, stream=[content], now=now).asset.pk for content in contents]
        draft = MessageInput(to=to, text="Look", valid_for=60, media=tuple(stored))
        return submit(owner=owner, draft=draft, default_queue="express", now=now)

    return send


def account(carrier: FakeCarrier, slug: str = "mms", *, weight: int = 100, **limits) -> ProviderAccount:
    config = {"url": f"{carrier.url}/{slug}", "fields": {"media": "media", "to": "to"}, "media_limits": limits}
    return AccountFactory(slug=slug, weight=weight, config=config)


def noise(side: int = 300, kind: str = "PNG") -> bytes:
    return pictures.encoded(kind, Image.merge("RGB", [Image.effect_noise((side, side), 90) for _ in range(3)]))


def urls_in(carrier: FakeCarrier) -> list[str]:
    return [url for received in carrier.received for url in received.json()["media"]]


def state(message: Message) -> tuple[str, str]:
    message.refresh_from_db()
    return message.status, message.error_code


def run() -> None:
    dispatcher(None).run("express")


def test_the_provider_fetches_a_copy_that_fits(carrier, send, now, settings, monkeypatch) -> None:
    settings.PUBLIC_URL = "http://testserver"
    monkeypatch.setattr("media_store.api.media.timezone", SimpleNamespace(now=lambda: now))
    account(carrier, message_bytes=30_000)
    large, small = noise(), pictures.encoded("PNG")
    message = send(large, small)
    assert len(large) > 100_000

    run()

    assert state(message) == ("sent", "")
    one, other = (Client().get(url) for url in urls_in(carrier))
    content, unchanged = one.getvalue(), other.getvalue()
    assert (one.status_code, one.headers["Content-Type"]) == (200, "image/jpeg")
    assert len(content) == int(one.headers["Content-Length"])
    assert len(content) + len(unchanged) <= 30_000
    assert Image.open(io.BytesIO(content)).format == "JPEG"
    assert (other.headers["Content-Type"], unchanged) == ("image/png", small)


def test_an_account_without_limits_gets_the_image_itself(carrier, send) -> None:
    account(carrier)
    send(noise(kind="WEBP"))

    run()

    [url] = urls_in(carrier)
    assert set(parse_qs(urlsplit(url).query)) == {"expires", "signature"}
    assert not MediaRendition.objects.exists()


def test_messages_with_the_same_image_use_the_same_copy(carrier, send, monkeypatch) -> None:
    account(carrier, message_bytes=30_000)
    made, content, scale = [], noise(), scaling.scale
    monkeypatch.setattr(scaling, "scale", lambda *given: made.append(given) or scale(*given))
    for _ in range(3):
        send(content)

    run()

    assert len(carrier.received) == 3
    assert len(made) == MediaRendition.objects.count() == 1


def test_a_copy_that_exists_costs_the_call_no_query(carrier, send, monkeypatch) -> None:
    account(carrier, message_bytes=30_000)
    content = noise()
    send(content)
    run()
    send(content)
    monkeypatch.setattr("messaging.services.outbound.dispatch.media.media.make_rendition", None)

    run()

    assert len(carrier.received) == 2


def test_five_messages_take_as_many_queries_as_one(send, carrier, now, django_assert_num_queries) -> None:
    account(carrier)
    messages = [send(pictures.encoded("PNG", pictures.picture(shade=number))) for number in range(5)]

    with django_assert_num_queries(2):
        assert len(attachments.files_of(messages)) == 5
    with django_assert_num_queries(2):
        attachments.files_of(messages[:1])
    with django_assert_num_queries(0):
        attachments.files_of([])


class TestRefused:
    @pytest.fixture
    def impossible(self, monkeypatch) -> None:
        """No WebP can be made smaller, as if they were all too large to be decoded."""
        monkeypatch.setattr(scaling, "PEAK_BYTES", 1_000)

    def test_the_message_fails_with_the_reason(self, carrier, send, impossible) -> None:
        account(carrier, **JPEG_ONLY)
        message = send(noise(kind="WEBP"))

        run()

        assert state(message) == ("failed", "media_too_large")
        assert "image/webp of 300 x 300 pixels" in message.error_detail
        assert "cannot be made smaller" in message.error_detail
        attempt = DeliveryAttempt.objects.get()
        assert (attempt.outcome, attempt.error_code) == ("rejected", "media_too_large")
        assert carrier.received == []
        assert not MediaRendition.objects.exists()

    def test_an_account_with_larger_limits_is_tried_at_once(self, carrier, send, impossible) -> None:
        account(carrier, "small", weight=1000, **JPEG_ONLY)
        account(carrier, "large", weight=1)
        QueueFactory._meta.model.objects.filter(pk="express").update(routing_strategy="failover")
        message = send(noise(kind="WEBP"))

        run()

        assert state(message) == ("sent", "")
        assert [received.target for received in carrier.received] == ["/large"]
        tried = DeliveryAttempt.objects.order_by("number").values_list("provider", "outcome", "error_code")
        assert list(tried) == [("small", "rejected", "media_too_large"), ("large", "accepted", "")]

    def test_it_is_no_fault_of_the_account(self, carrier, send, impossible, monkeypatch) -> None:
        recorded = []
        monkeypatch.setattr(
            "messaging.services.outbound.dispatch.record_results.account_state.record",
            lambda results, **_: recorded.extend(results) or [],
        )
        account(carrier, **JPEG_ONLY)
        send(noise(kind="WEBP"))

        run()

        assert recorded == []

    def test_a_probe_that_is_refused_frees_the_probe(self, carrier, send, impossible, monkeypatch) -> None:
        released = []
        monkeypatch.setattr(circuit_breaker, "release_probe", released.append)
        from_account = account(carrier, **JPEG_ONLY)
        send(noise(kind="WEBP"))
        start = Dispatcher._start_due

        def as_probe(self, in_flight, runner) -> None:
            for attempt in in_flight.delayed:
                object.__setattr__(attempt, "is_probe", True)
            start(self, in_flight, runner)

        monkeypatch.setattr(Dispatcher, "_start_due", as_probe)
        run()

        assert released == [from_account.slug]


@pytest.mark.parametrize("fault", [OperationalError("gone"), FileNotFoundError(), OSError("full")])
def test_a_fault_before_the_call_is_repeated_and_not_the_accounts(carrier, send, monkeypatch, caplog, fault) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("messaging.services.outbound.dispatch.media.media.make_rendition", fail)
    account(carrier, message_bytes=30_000)
    message = send(noise())

    run()

    assert state(message) == ("queued", "provider_not_called")
    assert message.rounds_failed == 0
    assert carrier.received == []
    assert type(fault).__name__ in caplog.text


@pytest.mark.django_db(transaction=True)
class TestThreads:
    def test_no_transaction_is_open_while_an_image_is_scaled(self, carrier, send, monkeypatch) -> None:
        seen, scale = [], scaling.scale

        def observed(*given):
            seen.append(connection.in_atomic_block)
            return scale(*given)

        monkeypatch.setattr(scaling, "scale", observed)
        account(carrier, message_bytes=30_000)
        send(noise())

        run()

        assert seen == [False]
        assert len(carrier.received) == 1

    def test_while_an_image_is_scaled_other_calls_go_out(self, carrier, send, now, monkeypatch) -> None:
        """Of three messages with images and one without, the latter is the first to be sent, on two threads."""
        monkeypatch.setattr(media, "BUSY_SECONDS", 0.1)
        account(carrier, message_bytes=30_000)
        pictured = [send(noise(), to=f"+1415555010{number}") for number in range(3)]
        plain = send(to="+14155550199")
        text_is_sent, scale, accept = threading.Event(), scaling.scale, carrier.play

        def answered(*given) -> None:
            if any(received.json()["to"] == plain.to_number for received in carrier.received):
                text_is_sent.set()
            accept(*given)

        def after_the_text(*given):
            assert text_is_sent.wait(20)
            return scale(*given)

        carrier.play = answered
        monkeypatch.setattr(scaling, "scale", after_the_text)
        worker = Dispatcher(concurrency=2, lease=LEASE * 4, clock=lambda: now)
        try:
            worker.run("express")
        finally:
            worker._runners["express"].executor.shutdown()

        assert {state(message)[0] for message in (*pictured, plain)} == {"sent"}

    def test_a_call_waits_while_another_image_is_decoded(self, carrier, send, now, monkeypatch) -> None:
        account(carrier, message_bytes=30_000)
        message = send(noise())
        files = attachments.files_of([message])[message.pk]
        with ONE_AT_A_TIME, pytest.raises(media.RetryAfter) as caught:
            media.urls_of(files, MediaLimits(message_bytes=30_000), now=now)

        assert caught.value.seconds == media.BUSY_SECONDS
        assert not MediaRendition.objects.exists()

    def test_threads_that_make_copies_keep_no_connection(self, carrier, send, now) -> None:
        account(carrier, message_bytes=30_000)
        message = send(noise())
        files = attachments.files_of([message])[message.pk]

        def make() -> object:
            media.urls_of(files, MediaLimits(message_bytes=30_000), now=now)
            return connection.connection

        assert at_once([make]) == [None]


def test_urls_without_limits_name_no_profile(send, carrier, now) -> None:
    account(carrier)
    message = send(noise())
    [file] = attachments.files_of([message])[message.pk]
    assert file.profiles == frozenset()

    media_store.make_rendition(file.asset, Profile(max_side=20), now=now)

    [file] = attachments.files_of([message])[message.pk]
    assert file.profiles == {"20px-jpeg"}
    [url] = media.urls_of([file], NO_LIMITS, now=now)
    assert "profile" not in url
