"""Bearer token authentication."""

from hmac import compare_digest

from django.contrib.auth.models import User
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework import exceptions
from rest_framework.request import Request

from messaging.api.token_memory import remembered
from messaging.models import ApiToken


class BearerAuthentication(TokenAuthentication):
    """knox tokens in the `Bearer` scheme. Knox would also clean up the user's other tokens with each request."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            raise exceptions.AuthenticationFailed("Invalid token.") from None
        key, digest = text[: CONSTANTS.TOKEN_KEY_LENGTH], hash_token(text)
        if "\x00" in key:
            raise exceptions.AuthenticationFailed("Invalid token.")
        known = remembered.get(digest)
        if known is not None and _is_valid(known, digest):
            return known.user, known
        begun = remembered.begin()
        for row in ApiToken.objects.filter(token_key=key).select_related("user"):
            if _is_valid(row, digest):
                user, auth_token = self.validate_user(row)
                remembered.put(digest, auth_token, begun)
                return user, auth_token
        raise exceptions.AuthenticationFailed("Invalid token.")


def _is_valid(row: ApiToken, digest: str) -> bool:
    return compare_digest(digest, row.digest) and (row.expiry is None or row.expiry > timezone.now())
