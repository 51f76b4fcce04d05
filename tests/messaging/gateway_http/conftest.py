"""Clients of Kannel's and Jasmin's HTTP interfaces. The address of a receiver is public, and nothing is called."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from messaging import credential_memory
from messaging.gateway_http import memory
from messaging.models import GatewayCredential, Message
from messaging.services.gateway import credentials
from tests.factories import GatewayCredentialFactory, QueueFactory, SenderFactory

SENDER, OTHER_SENDER = "+15005550006", "Acme"
LOGIN = {"username": "shop", "password": "secret12"}
RECEIVER = "https://client.example.com/dlr"


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Off, so that every request costs the same. Tests of the memory put it back."""
    monkeypatch.setattr(credential_memory, "SECONDS", 0.0)
    monkeypatch.setattr(credentials, "ITERATIONS", 1)
    yield
    memory.remembered.clear()


@pytest.fixture
def credential(db: None) -> GatewayCredential:
    QueueFactory()
    row = GatewayCredentialFactory(system_id="shop")
    SenderFactory(number=SENDER, is_default=True)
    SenderFactory(number=OTHER_SENDER, owner=row.user)
    SenderFactory(number="2020", owner=row.user)
    return row


class GatewayClient:
    """Calls one path; `query` is a mapping, or a query that is encoded already."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def get(self, query: Mapping[str, Any] | str = "", *, path: str = "", **extra: Any) -> HttpResponse:
        return self._client.generic("GET", self._address(path, query), **extra)

    def post(
        self,
        body: bytes | Mapping[str, Any] = b"",
        content_type: str = "application/x-www-form-urlencoded",
        *,
        query: Mapping[str, Any] | str = "",
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        data = body if isinstance(body, bytes) else urlencode(body).encode()
        return self._client.generic(
            "POST", self._address(path, query), data, content_type=content_type, headers=headers or {}
        )

    def _address(self, path: str, query: Mapping[str, Any] | str) -> str:
        text = query if isinstance(query, str) else urlencode(query)
        return f"{path or self.path}?{text}" if text else path or self.path


def stored() -> list[Message]:
    return list(Message.objects.order_by("pk"))
