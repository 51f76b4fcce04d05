"""Middleware that only browser sessions need: a request with a bearer token passes it by.

REST framework asks for the session only if there is no such token (`DEFAULT_AUTHENTICATION_CLASSES`), so nothing would read it.
"""

from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest

API = "/api/"
SCHEME = b"bearer"


def has_token(request: HttpRequest) -> bool:
    """Return True for a request that `messaging.api.authentication` accepts or refuses by its token alone."""
    if not request.path_info.startswith(API):
        return False
    # As bytes, like REST framework: text would also be split at a no-break space, for example.
    scheme: list[bytes] = request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace").split(maxsplit=1)[:1]
    return scheme != [] and scheme[0].lower() == SCHEME


class _ForSessions:
    """Base of a middleware class. Any: the request's response, or an awaitable of it for an async handler."""

    def __call__(self, request: HttpRequest) -> Any:
        if has_token(request):
            return self.get_response(request)  # type: ignore[attr-defined]  # of Django's class
        return super().__call__(request)  # type: ignore[misc]  # the same


class SessionMiddleware(_ForSessions, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(_ForSessions, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(_ForSessions, messages.MessageMiddleware):
    pass
