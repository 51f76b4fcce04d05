import pytest
from django.contrib.auth.models import AnonymousUser, User
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from messaging.api.access import user_of


def request_of(user: User | AnonymousUser) -> Request:
    request = Request(APIRequestFactory().get("/"))
    request.user = user
    return request


def test_the_authenticated_user_is_returned() -> None:
    user = User(username="ada")

    assert user_of(request_of(user)) is user


def test_an_anonymous_request_is_refused() -> None:
    with pytest.raises(NotAuthenticated):
        user_of(request_of(AnonymousUser()))
