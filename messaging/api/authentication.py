"""Bearer tokens."""

from hmac import compare_digest

from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework import exceptions

from messaging.models import ApiToken


class BearerAuthentication(TokenAuthentication):
    """knox's tokens under the name `Bearer`, in one query and without its clean-up of the user's other tokens on each call."""

    def authenticate_header(self, request) -> str:
        return "Bearer"

    def authenticate_credentials(self, token: bytes) -> tuple:
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            raise exceptions.AuthenticationFailed("Invalid token.") from None
        key, digest = text[: CONSTANTS.TOKEN_KEY_LENGTH], hash_token(text)
        if "\x00" in key:
            raise exceptions.AuthenticationFailed("Invalid token.")
        for row in ApiToken.objects.filter(token_key=key).select_related("user"):
            if compare_digest(digest, row.digest) and (row.expiry is None or row.expiry > timezone.now()):
                return self.validate_user(row)
        raise exceptions.AuthenticationFailed("Invalid token.")
