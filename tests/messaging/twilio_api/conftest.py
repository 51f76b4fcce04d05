"""Twilio's SDK, and plain requests, against our views."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.test import Client as DjangoClient
from django.test.client import ClientHandler
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from messaging.models import Message
from messaging.services.installation import API_OPERATOR, API_SENDER
from messaging.services.twilio import credentials
from tests.factories import NOW, SenderFactory, UserFactory
from tests.installed import install

HANDLER = ClientHandler(enforce_csrf_checks=False)
SENDER = "+15005550006"
TO = "+14155550101"


class Twilio:
    """Plain requests with HTTP Basic. Paths are relative to the account; one that begins with a slash is absolute."""

    def __init__(self, user: Any, sid: str, token: str) -> None:
        self.user, self.sid, self.token = user, sid, token
        self.login: tuple[str, str] | None = (sid, token)
        self._client = DjangoClient()
        self._client.handler = HANDLER

    def __call__(
        self,
        method: str,
        path: str,
        fields: Any = None,
        *,
        data: bytes | str = b"",
        content_type: str = "application/x-www-form-urlencoded",
        **headers: str,
    ) -> HttpResponse:
        if fields is not None:
            data = urlencode(fields, doseq=True)
        if self.login is not None:
            pair = base64.b64encode(":".join(self.login).encode()).decode()
            headers.setdefault("Authorization", f"Basic {pair}")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.generic(method, self.address(path), data, content_type=content_type, headers=sent)

    def address(self, path: str) -> str:
        return path if path.startswith("/") else f"/2010-04-01/Accounts/{self.sid}/{path}"

    def get(self, path: str, **query: Any) -> HttpResponse:
        return self("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str = "Messages.json", **fields: Any) -> HttpResponse:
        return self("POST", path, fields)

    def json(self, body: Any, path: str = "Messages.json", **headers: str) -> HttpResponse:
        return self("POST", path, data=json.dumps(body), content_type="application/json", **headers)

    def delete(self, path: str) -> HttpResponse:
        return self("DELETE", path)

    def send(self, **fields: Any) -> HttpResponse:
        return self.post(**{"To": TO, "From": SENDER, "Body": "Hello", **fields})


class DjangoHttp(HttpClient):
    """The SDK's way out, into the views of this process. `calls` are the methods and addresses."""

    def __init__(self) -> None:
        super().__init__(pytest, False, None)
        self.calls: list[tuple[str, str]] = []
        self._client = DjangoClient()
        self._client.handler = HANDLER

    def request(  # noqa: PLR0917 (as the SDK calls it)
        self, method: str, url: str, params: Any = None, data: Any = None, headers: Any = None, auth: Any = None,
        timeout: Any = None, allow_redirects: bool = False,
    ) -> Response:  # fmt: skip
        path = url.removeprefix("http://testserver")
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params, doseq=True)
        self.calls.append((method, path))
        pair = base64.b64encode(":".join(auth).encode()).decode()
        sent = {**(headers or {}), "Authorization": f"Basic {pair}"}
        content_type = sent.pop("Content-Type", "application/x-www-form-urlencoded")
        answer = self._client.generic(
            method, path, urlencode(data or {}, doseq=True), content_type=content_type, headers=sent
        )
        body = b"".join(answer) if answer.streaming else answer.content
        return Response(answer.status_code, body.decode("utf-8", "replace"), dict(answer.headers))


def twilio_of(user: Any) -> Twilio:
    row, token = credentials.issue(user=user, now=NOW)
    return Twilio(user, row.sid, token)


def sdk(twilio: Twilio) -> Client:
    client = Client(*twilio.login, http_client=DjangoHttp())
    client.api.base_url = "http://testserver"
    return client


@pytest.fixture
def twilio(db: None) -> Twilio:
    """A service user's credential, and a sender that everybody may use."""
    install()
    SenderFactory(number=SENDER, owner=None)
    user = UserFactory(username="shop", password="!")
    user.groups.add(*Group.objects.filter(name__in=[API_SENDER, API_OPERATOR]))
    return twilio_of(user)


@pytest.fixture
def client(twilio: Twilio) -> Client:
    return sdk(twilio)


def message_of(sid: str) -> Message:
    return Message.objects.get(pk=sid[2:])
