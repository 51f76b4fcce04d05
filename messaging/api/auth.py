"""Log-in and log-out: exchange a user name and password for a bearer token, and revoke it."""

import base64
import binascii
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, viewsets
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import request_limits
from messaging.api.access import user_of
from messaging.api.known_names import KnownNames
from messaging.api.permissions import IsKnown
from messaging.api.serializers import TokenSerializer
from messaging.api.throttling import refuse_guessing
from messaging.models import ApiToken
from messaging.services.representation import isoformat_utc


class CountedBasicAuthentication(BaseAuthentication):
    """HTTP Basic. Failed attempts are counted per client address; too many of them raise `Throttled`."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"basic":
            return None
        refuse_guessing(request)
        user = authenticate(request, **_credentials(parts))
        if user is None:
            request_limits.count_failure(request)
            raise exceptions.AuthenticationFailed("Wrong user name or password.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="api", charset="UTF-8"'


def _credentials(parts: list[bytes]) -> dict[str, str]:
    try:
        _, encoded = parts
        username, separator, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (ValueError, binascii.Error):
        raise exceptions.AuthenticationFailed("The Basic header is malformed.") from None
    if not separator or "\x00" in username + password:
        raise exceptions.AuthenticationFailed("The Basic header is malformed.")
    return {"username": username, "password": password}


class TokenViewSet(viewsets.ViewSet):
    authentication_classes = [CountedBasicAuthentication]
    permission_classes = [IsKnown, KnownNames]
    without_body = frozenset({"create"})

    @extend_schema(request=None, responses={201: TokenSerializer})
    def create(self, request: Request) -> Response:
        row, token = ApiToken.objects.create(
            user=user_of(request), expiry=timedelta(hours=settings.TOKEN_TTL_HOURS), name="log-in"
        )
        return Response({"token": token, "expires_at": isoformat_utc(row.expiry)}, status=201)


class LogoutViewSet(viewsets.ViewSet):
    permission_classes = [IsKnown, KnownNames]
    without_body = frozenset({"create"})

    @extend_schema(request=None, responses={204: None})
    def create(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken):
            request.auth.delete()
        return Response(status=204)
