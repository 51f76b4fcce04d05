import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from messaging.console.staff import staff_of


def test_the_user_behind_a_session_is_returned() -> None:
    request, user = RequestFactory().get("/"), User(username="ada")
    request.user = SimpleLazyObject(lambda: user)

    assert staff_of(request) == user


def test_an_anonymous_request_is_refused() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    with pytest.raises(PermissionDenied):
        staff_of(request)
