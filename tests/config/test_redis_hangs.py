"""While Redis hangs, one exchange of the process waits for it; both kinds of server handle requests as usual."""

import base64
import json
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from config.celery import Application
from messaging.models import Message
from providers import callback_tokens, registry
from providers.models import ProviderAccount
from providers.state import redis_client
from tests.config.serving import Answer, Socket, by_asgi, by_wsgi
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.api.conftest import Api, api, installed
from tests.redis_line import Line, line, server

__all__ = ["api", "installed", "line", "server"]

pytestmark = pytest.mark.django_db
ROUNDS = 5
NEW = json.dumps({"to": "+14155550101", "message": "Hello"}).encode()
WRONG = {"Authorization": f"Basic {base64.b64encode(b'ada:x').decode()}"}
QUEUE = "celery"


@pytest.fixture(params={"wsgi": by_wsgi, "asgi": by_asgi}.items(), ids=lambda each: each[0])
def send(request: pytest.FixtureRequest, django_capture_on_commit_callbacks) -> Iterator[Callable[..., Answer]]:
    """Handle a request as the servers do; `on_commit` callbacks run where the test's own commit would be."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)

    def send(method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        given = {"Host": "127.0.0.1", "Content-Type": "application/json", **headers}
        with django_capture_on_commit_callbacks(execute=True):
            return request.param[1](method, path, Socket(body), given)

    yield send
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def broker(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """Celery on the same Redis."""
    application = Application("tests", broker=line.url, set_as_current=False)
    application.conf.task_publish_retry = False
    monkeypatch.setattr("messaging.notifier.current_app", application)
    monkeypatch.setattr("messaging.notifier._gathering.until", 0.0)
    yield application
    application.close()


def rings(line: Line) -> list[str]:
    return [json.loads(each)["headers"]["task"] for each in redis_client.client().lrange(QUEUE, 0, -1)]


@pytest.fixture
def receipt(installed) -> Callable[[], tuple[str, bytes]]:
    """Return the address and body of a receipt for a new message."""

    def make() -> tuple[str, bytes]:
        message = MessageFactory(sent=True, provider=ProviderAccount.objects.get())
        attempt = AttemptFactory(message=message, provider=message.provider, provider_message_id=str(message.pk))
        token = callback_tokens.make(slug="acme", attempt_id=str(attempt.pk), keys=registry.callback_keys())
        body = {"message_id": attempt.provider_message_id, "status": "delivered"}
        return f"/webhooks/acme/status/?{urlencode({'token': token})}", json.dumps(body).encode()

    return make


def test_requests_are_handled_and_one_of_them_waits(send, api: Api, receipt, line: Line, broker) -> None:
    token = {"Authorization": f"Bearer {api.token}"}
    line.server.hang()

    for _ in range(ROUNDS):
        assert send("POST", "/api/v1/messages/", NEW, **token).status == 202
        assert send("GET", "/api/v1/messages/", **token).status == 200
        assert send("POST", *receipt()).status == 200
        assert send("GET", "/healthz").status == 200

    assert line.connections == 1
    assert sorted(Message.objects.values_list("status", flat=True)) == ["delivered"] * ROUNDS + ["queued"] * ROUNDS


def test_failed_log_ins_are_limited_all_the_same(send, installed, line: Line, settings) -> None:
    settings.RATE_LIMIT_FAILED_LOGINS = "3/h"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    line.server.hang()

    answers = [send("POST", "/api/v1/auth/token/", **WRONG).status for _ in range(5)]

    assert answers == [401, 401, 401, 429, 429]
    assert line.connections == 1


def test_a_hang_between_two_exchanges_costs_the_same(send, api: Api, line: Line, broker, monkeypatch) -> None:
    """Redis responds to the rate limit and the notification's key, and hangs when the task is published."""
    publish = broker.send_task

    def hang_and_publish(*given: object, **options: object) -> None:
        line.server.hang()
        publish(*given, **options)

    monkeypatch.setattr(broker, "send_task", hang_and_publish)
    token = {"Authorization": f"Bearer {api.token}"}

    statuses = [send("POST", "/api/v1/messages/", NEW, **token).status for _ in range(ROUNDS)]

    assert statuses == [202] * ROUNDS
    assert line.connections == 2  # one of the cache, one of the broker


def test_when_it_is_back_it_is_used(send, api: Api, line: Line, broker, monkeypatch) -> None:
    monkeypatch.setattr(redis_client, "CHECK_INTERVAL", 0.05)
    token = {"Authorization": f"Bearer {api.token}"}
    line.server.hang()
    assert send("POST", "/api/v1/messages/", NEW, **token).status == 202

    line.server.go_on()
    line.wait_until_available()
    redis_client.client().flushdb()  # the unread notification may have arrived
    assert send("POST", "/api/v1/messages/", NEW, **token).status == 202

    assert rings(line) == ["messaging.dispatch"]
