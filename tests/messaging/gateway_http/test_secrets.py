"""Passwords stand in addresses, by the nature of these interfaces; nothing of ours shows an address's query."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.test import RequestFactory
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config.logging import JsonFormatter, LogContextFilter, RedactingFormatter
from config.run import commands
from config.tracing import Tracing
from messaging import log_context
from messaging.gateway_http import jasmin, kannel, submission
from messaging.models import GatewayCredential
from tests.messaging.gateway_http.conftest import GatewayClient

pytestmark = pytest.mark.django_db

SECRETS = ("secret12", "Nobody else may read this", "Nobody+else", "447911110001", "token-of-the-receiver")
QUERY = {
    "username": "shop",
    "password": "secret12",
    "to": "447911110001",
    "dlr-url": "https://client.example.com/dlr?token-of-the-receiver",
    "dlr-mask": "31",
}
CALLS = {
    "/cgi-bin/sendsms": {**QUERY, "text": SECRETS[1]},
    "/send": {**{name: value for name, value in QUERY.items() if name != "dlr-mask"}, "content": SECRETS[1]},
}


class _Recorded(logging.Handler):
    """Lines as both formatters write them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        LogContextFilter().filter(record)
        self.lines += [RedactingFormatter().format(record), JsonFormatter().format(record)]


@pytest.fixture
def client(credential: GatewayCredential, settings: Any) -> GatewayClient:
    settings.ENABLE_KANNEL_API = settings.ENABLE_JASMIN_API = True
    return GatewayClient("")


@pytest.fixture
def log() -> Iterator[list[str]]:
    recorded, root = _Recorded(), logging.getLogger()
    names = ("django", "django.request", "messaging", "messaging.log_context")
    loggers = [root, *(logging.getLogger(name) for name in names)]
    levels = [(each, each.level) for each in loggers]
    root.addHandler(recorded)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    yield recorded.lines
    root.removeHandler(recorded)
    for each, level in levels:
        each.setLevel(level)


def _fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("a bug of ours")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_a_bug_neither_page_nor_log_shows_the_query(
    client: GatewayClient, log: list[str], monkeypatch: pytest.MonkeyPatch, path: str, method: str
) -> None:
    monkeypatch.setattr(submission, "store", _fail)

    response = client.post(CALLS[path], path=path) if method == "POST" else client.get(CALLS[path], path=path)

    assert response.status_code == 500
    assert any("a bug of ours" in line for line in log)
    assert [secret for secret in SECRETS if any(secret in line for line in (*log, response.content.decode()))] == []


@pytest.mark.parametrize("path", CALLS)
def test_ordinary_calls_and_refusals_leave_no_secret_in_the_log(
    client: GatewayClient, log: list[str], path: str
) -> None:
    private = "http://127.0.0.1/?token-of-the-receiver"
    for change in ({}, {"password": "secret12x"}, {"to": "447911110001x"}, {"dlr-url": private}):
        client.get({**CALLS[path], **change}, path=path)
        client.post({**CALLS[path], **change}, path=path)
    client._client.generic("PUT", client._address(path, CALLS[path]))

    assert any("accepted" in line for line in log)
    assert [secret for secret in SECRETS if any(secret in line for line in log)] == []


@pytest.mark.parametrize("path", CALLS)
def test_an_answer_does_not_repeat_password_or_text(client: GatewayClient, path: str) -> None:
    for change in ({}, {"password": "secret12" * 5}, {"nonsense": "x"}, {"to": "x"}, {"coding": "99"}):
        page = client.get({**CALLS[path], **change}, path=path).content.decode()

        assert [secret for secret in SECRETS if secret in page] == []


@pytest.mark.parametrize("path", CALLS)
def test_while_it_is_off_the_page_does_not_show_the_query(db: None, path: str) -> None:
    response = GatewayClient(path).get(CALLS[path])

    assert response.status_code == 404
    assert [secret for secret in SECRETS if secret in response.content.decode()] == []


@pytest.mark.parametrize(("view", "path"), [(kannel.sendsms, "/cgi-bin/sendsms"), (jasmin.send, "/send")])
def test_the_request_has_no_query_any_more(client: GatewayClient, view: Any, path: str) -> None:
    request = RequestFactory().get(path, CALLS[path])

    view(request)

    assert (request.META["QUERY_STRING"], dict(request.GET)) == ("", {})
    assert "?" not in request.get_full_path()
    assert repr(request) == f"<WSGIRequest: GET '{path}'>"


REPORTED = """
import asyncio, json, os
import django
django.setup()
import sentry_sdk
from sentry_sdk.transport import Transport
from config import sentry
from config.asgi import application
from messaging.gateway_http import access

class Printed(Transport):
    def capture_envelope(self, envelope):
        print(json.dumps(envelope.get_event()))

def fail(*_, **__):
    raise RuntimeError("a bug of ours")

access.verified = fail
sentry_sdk.init(**sentry.options(), transport=Printed())
path, _, query = os.environ["ADDRESS"].partition("?")
scope = {
    "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": [],
    "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http", "root_path": "", "http_version": "1.1",
}

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

asyncio.run(application(scope, receive, send))
"""


@pytest.mark.parametrize("path", CALLS)
def test_a_report_to_sentry_has_no_query(tmp_path: Path, path: str) -> None:
    """In a process of its own: Sentry's integrations, which read requests, would stay in this one."""
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "x" * 50,
        "LOCAL_DIR": str(tmp_path),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SENTRY_DSN": "https://key@sentry.invalid/1",
        "ENABLE_KANNEL_API": "true",
        "ENABLE_JASMIN_API": "true",
        "ADDRESS": f"{path}?{urlencode(CALLS[path])}",
    }
    done = subprocess.run(
        [sys.executable, "-c", REPORTED],
        env=environment,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "a bug of ours" in json.dumps([json.loads(line) for line in done.stdout.splitlines()])
    assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []


@pytest.mark.parametrize("path", CALLS)
def test_a_trace_has_no_query(client: GatewayClient, path: str) -> None:
    exporter = InMemorySpanExporter()
    log_context.set_tracer(Tracing(SimpleSpanProcessor(exporter)))
    try:
        client.get(CALLS[path], path=path)
    finally:
        log_context.set_tracer(None)

    spans = [span.to_json() for span in exporter.get_finished_spans()]
    assert spans
    assert [secret for secret in SECRETS if any(secret in span for span in spans)] == []


def test_no_server_of_ours_writes_an_access_log() -> None:
    """It would have the query of every request. Granian writes one only if it is told to."""
    root = Path(django_settings.BASE_DIR)
    files = [root / "Procfile", root / "docker-compose.yml", root / "Dockerfile", *(root / "docs/deploy").rglob("*")]
    texts = [file.read_text() for file in files if file.is_file()]

    assert not [text for text in texts if "access-log" in text or "access_log" in text]
    for command in (commands.web(1), commands.deployed_web(1, workers=1), commands.deployed_live(1)):
        assert not [word for word in command.argv if "access" in word]
