"""Clients of the API, with a clock that stays at `now` until a test moves it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tests.factories import UserFactory
from tests.messaging.api.conftest import Api, anonymous, api, installed, member_of, stranger
from tests.messaging.services.outbound.dispatch.fakes import Clock

__all__ = ["anonymous", "api", "installed", "member_of", "stranger"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, now) -> Clock:
    clock = Clock(now)
    monkeypatch.setattr("media_store.api.media.timezone", SimpleNamespace(now=clock))
    return clock


@pytest.fixture
def staff(installed) -> Api:
    user = UserFactory(is_staff=True)
    wanted = ["view_mediaasset", "delete_mediaasset"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=wanted))
    return Api(user)


def file(content: bytes, name: str = "photo.png", content_type: str = "image/png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type)


def post_form(api: Api, fields: dict[str, Any]) -> HttpResponse:
    return api("POST", "media/", data=encode_multipart(BOUNDARY, fields), content_type=MULTIPART_CONTENT)


def upload(api: Api, content: bytes, name: str = "photo.png") -> HttpResponse:
    return post_form(api, {"file": file(content, name)})
