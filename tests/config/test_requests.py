"""Requests without a length, in unusual encodings or with too many parameters, under both kinds of server."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from media_store.models import MediaAsset
from messaging.models import Message, OutboundQueue, ProviderCallback
from tests.config.serving import Answer, Socket, by_asgi, by_wsgi
from tests.factories import AccountFactory
from tests.media_store.pictures import encoded
from tests.messaging.api.conftest import Api, api, installed

__all__ = ["api", "installed"]

SERVERS = {"wsgi": by_wsgi, "asgi": by_asgi}
HOST = {"Host": "127.0.0.1"}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
NEW = b'{"to": "+14155550101", "message": "Hello"}'
CHARSETS = ["hex", "rot13", "undefined", "idna", "utf-16", "nonsense"]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Callable[..., Answer]]:
    """Like Django's test client: the end of a request must not close the test's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield SERVERS[request.param]
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def send(server, api: Api) -> Callable[..., Answer]:
    """Like the client of `api`, but without a length."""

    def send(method: str, path: str, body: bytes = b"", content_type: str = JSON, **headers: str) -> Answer:
        given = {**HOST, "Content-Type": content_type, "Transfer-Encoding": "chunked"}
        if path.startswith("/api/v1/"):
            given["Authorization"] = f"Bearer {api.token}"
        return server(method, path, Socket(body), given | {name.replace("_", "-"): headers[name] for name in headers})

    return send


@pytest.fixture
def media_folder(settings, tmp_path: Path) -> None:
    local = {"BACKEND": "media_store.storage.LocalMediaStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "media": local}


@pytest.fixture
def hmac_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_ACME_SECRET", "s3cret")
    config = {"url": "http://127.0.0.1:9/", "callback_auth": "hmac", "callback_secret": {"env": "PROVIDER_ACME_SECRET"}}
    AccountFactory(slug="signs", config=config)


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()


def form_of(image: bytes) -> bytes:
    return encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("photo.png", image, "image/png")})


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.content_type) == (status, "application/problem+json"), answer
    assert answer.json()["code"] == code


class TestBodyWithoutLength:
    def test_a_message_is_taken(self, send) -> None:
        answer = send("POST", "/api/v1/messages/", NEW)

        assert (answer.status, Message.objects.get().text) == (202, "Hello")

    def test_a_change_is_made(self, send) -> None:
        answer = send("PATCH", "/api/v1/queues/paced/", b'{"batch_size": 7}')

        assert (answer.status, answer.json()["batch_size"]) == (200, 7)
        assert OutboundQueue.objects.get(pk="paced").batch_size == 7

    def test_invalid_json_is_refused(self, send) -> None:
        assert_problem(send("PATCH", "/api/v1/queues/paced/", b'{"batch_size": '), 400, "parse_error")

        assert OutboundQueue.objects.get(pk="paced").batch_size == 2

    def test_nothing_is_an_empty_body(self, send) -> None:
        assert_problem(send("POST", "/api/v1/messages/"), 400, "invalid")

    def test_an_image_is_stored(self, send, media_folder) -> None:
        image = encoded("PNG")

        answer = send("POST", "/api/v1/media/", form_of(image), MULTIPART_CONTENT)

        assert answer.status == 201
        assert MediaAsset.objects.get().sha256 == hashlib.sha256(image).hexdigest()

    def test_a_providers_signature_covers_the_original_body(self, send, hmac_account) -> None:
        body = b'{"message_id": "p1", "status": "delivered"}'

        answer = send("POST", "/webhooks/signs/status/", body, X_Signature=signature(body))

        assert (answer.status, ProviderCallback.objects.get().body) == (202, body.decode())

    @pytest.mark.parametrize("path", ["/api/v1/messages/", "/api/v1/media/", "/webhooks/acme/status/"])
    def test_what_is_too_large_is_413(self, send, settings, path: str) -> None:
        settings.MAX_BODY_BYTES = 100_000

        answer = send("POST", path, NEW + b" " * 100_000)

        assert_problem(answer, 413, "body_too_large")
        assert not Message.objects.exists()

    def test_as_much_as_is_allowed_is_read_whole(self, send, settings) -> None:
        body = NEW + b" " * 200_000
        settings.MAX_BODY_BYTES = len(body)

        assert send("POST", "/api/v1/messages/", body).status == 202

    def test_under_a_page_it_is_no_problem_document(self, send, settings) -> None:
        settings.MAX_BODY_BYTES = 100

        answer = send("POST", "/admin/login/", b"x" * 101, FORM)

        assert (answer.status, answer.content_type) == (413, "text/html; charset=utf-8")


def test_a_body_without_an_end_is_read_up_to_the_limit(installed, settings) -> None:
    settings.MAX_BODY_BYTES = 1_000_000
    socket = Socket(b"x" * 10_000_000)

    answer = by_wsgi("POST", "/api/v1/messages/", socket, HOST)

    assert_problem(answer, 413, "body_too_large")
    assert 1_000_000 < socket.tell() <= 1_000_000 + 64 * 1024
    assert socket.largest == 64 * 1024


def test_a_body_of_unknown_end_is_not_read(installed) -> None:
    socket = Socket(NEW)

    answer = by_wsgi("POST", "/api/v1/messages/", socket, HOST, is_terminated=False)

    assert (answer.status, socket.tell()) == (401, 0)


class TestCharset:
    """Everything is UTF-8, whatever charset the Content-Type names."""

    @pytest.mark.parametrize("charset", CHARSETS)
    @pytest.mark.parametrize("parameter", ["charset={}", "charset*={}''x", "x*={}''%FF"])
    def test_a_list_can_be_filtered(self, send, charset: str, parameter: str) -> None:
        content_type = f"text/plain; {parameter.format(charset)}"

        answer = send("GET", "/api/v1/messages/?limit=1&reference=%C3%A9", content_type=content_type)

        assert (answer.status, answer.json()["count"]) == (200, 0)

    @pytest.mark.parametrize("charset", CHARSETS)
    def test_a_message_is_read_as_utf_8(self, send, charset: str) -> None:
        answer = send(
            "POST", "/api/v1/messages/", NEW.replace(b"Hello", "Hellé".encode()), f"{JSON}; charset={charset}"
        )

        assert (answer.status, Message.objects.get().text) == (202, "Hellé")

    @pytest.mark.parametrize("charset", CHARSETS)
    def test_an_image_is_stored(self, send, media_folder, charset: str) -> None:
        answer = send("POST", "/api/v1/media/", form_of(encoded("PNG")), f"{MULTIPART_CONTENT}; charset={charset}")

        assert answer.status == 201

    @pytest.mark.parametrize("charset", CHARSETS)
    @pytest.mark.parametrize("media_type", [JSON, FORM])
    def test_a_receipt_is_kept(self, send, hmac_account, media_type: str, charset: str) -> None:
        body = '{"message_id": "p1", "status": "delivered", "x": "é"}'.encode()

        answer = send(
            "POST", "/webhooks/signs/status/?x=%C3%A9", body, f"{media_type}; charset={charset}",
            X_Signature=signature(body),
        )  # fmt: skip

        assert (answer.status, ProviderCallback.objects.get().body) == (202, f"x=%C3%A9\n{body.decode()}")

    def test_a_media_type_that_cannot_be_read_is_415_where_it_counts(self, send) -> None:
        answer = send("POST", "/api/v1/messages/", NEW, f"{JSON}; x*=nonsense''x")

        assert_problem(answer, 415, "unsupported_media_type")
        assert not Message.objects.exists()


class TestQuery:
    MANY = "&".join(["a=1"] * 1_001)

    @pytest.mark.parametrize("path", ["/api/v1/messages/", "/api/v1/nowhere/", "/webhooks/acme/status/"])
    @pytest.mark.parametrize("content_type", [JSON, f"{FORM}; charset=latin-1"])
    def test_too_many_parameters_are_400_and_not_logged(self, send, caplog, path: str, content_type: str) -> None:
        with caplog.at_level(logging.WARNING):
            answer = send("POST", f"{path}?{self.MANY}", NEW, content_type)

        assert_problem(answer, 400, "invalid")
        assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert not Message.objects.exists()
