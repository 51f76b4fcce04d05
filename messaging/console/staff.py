"""The user behind a request to the console."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


def staff_of(request: HttpRequest) -> User:
    """Return the authenticated user. Raises `PermissionDenied` for an anonymous request."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
