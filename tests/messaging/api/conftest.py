"""Clients of the API, and assertions on its errors."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler

from messaging.services.installation import API_OPERATOR, API_SENDER
from tests.factories import AccountFactory, UserFactory, make_token
from tests.installed import install

PROBLEM_KEYS = {"type", "title", "status", "detail", "code"}
UNSET: Any = object()
HANDLER = ClientHandler(enforce_csrf_checks=False)  # one for all: making its middleware costs 40 ms


class Api:
    """Sends JSON with a bearer token. `data` is sent unchanged instead of `body`."""

    def __init__(self, user: Any = None, token: str | None = None) -> None:
        self.user = user
        self.token = make_token(user) if user is not None and token is None else token
        self._client = Client()
        self._client.handler = HANDLER

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = UNSET,
        *,
        data: bytes | str = b"",
        content_type: str = "application/json",
        **headers: str,
    ) -> HttpResponse:
        if body is not UNSET:
            data = json.dumps(body)
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        address = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        return self._client.generic(method, address, data, content_type=content_type, headers=sent)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = UNSET, **options: Any) -> HttpResponse:
        return self("POST", path, body, **options)


def assert_problem(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """Assert that the response is a problem of the documented shape, and return its body."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert set(body) == PROBLEM_KEYS | ({"errors"} if status == 400 else set())
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["title"]
    assert body["detail"]
    return body


def errors_of(response: HttpResponse) -> set[tuple[str, str]]:
    """Return the field and code of each error of a 400."""
    body = assert_problem(response, 400, "invalid")
    assert all(set(error) == {"field", "code", "detail"} for error in body["errors"])
    return {(error["field"], error["code"]) for error in body["errors"]}


def member(username: str, *groups: str) -> Any:
    user = UserFactory(username=username, password="!")
    user.groups.add(*Group.objects.filter(name__in=groups))
    return user


@pytest.fixture
def installed(db) -> None:
    install()
    AccountFactory(slug="acme")


@pytest.fixture
def api(installed) -> Api:
    """A client that may send and operate, as a service user may."""
    return Api(member("client", API_SENDER, API_OPERATOR))


@pytest.fixture
def anonymous(installed) -> Api:
    return Api()


@pytest.fixture
def stranger(installed) -> Api:
    """Another client with the same rights."""
    return Api(member("stranger", API_SENDER, API_OPERATOR))


@pytest.fixture
def staff(installed) -> Api:
    user = UserFactory(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_message", "view_phonenumber"]))
    return Api(user)


@pytest.fixture
def member_of(installed):
    """A client whose user is in these groups only."""

    return lambda *groups: Api(member("member", *groups))
