"""HTTP Basic with an account SID and its auth token, or with an API key and its secret."""

import base64
import binascii
import hashlib

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from messaging import request_limits
from messaging.credential_memory import RecentCredentials, clear_after_changes
from messaging.models import TwilioAccount, TwilioApiKey
from messaging.services.twilio import credentials
from messaging.services.twilio.credentials import TwilioClient
from messaging.twilio_api.errors import AUTHENTICATE, TOO_MANY, TwilioError

MAX_HEADER = 1_000
PARTS = 2  # the scheme and the credentials

remembered = RecentCredentials[TwilioClient]()

clear_after_changes(lambda: remembered.clear(), TwilioAccount, TwilioApiKey)  # noqa: PLW0108 (tests replace the method)


class TwilioAuthentication(BaseAuthentication):
    """Failed attempts are counted per client address, together with failed log-ins. Raises `TwilioError`."""

    def authenticate(self, request: Request) -> tuple[User, TwilioClient]:
        header = get_authorization_header(request)
        digest = hashlib.sha256(header).hexdigest()
        client = remembered.get(digest)
        if client is None:
            client = _read(request, header, digest)
        return client.user, client


def _read(request: Request, header: bytes, digest: str) -> TwilioClient:
    sid, secret = _given(header)
    wait = request_limits.wait_after_failures(request)
    if wait is not None:
        raise TwilioError(TOO_MANY, "Too many failed attempts from this address.", wait=wait)
    begun = remembered.begin()
    client = credentials.verify(sid=sid, secret=secret)
    if client is None:
        request_limits.count_failure(request)
        raise TwilioError(AUTHENTICATE)
    credentials.note_use(client, timezone.now())
    remembered.put(digest, client, begun)
    return client


def _given(header: bytes) -> tuple[str, str]:
    parts = header.split()
    if len(parts) != PARTS or parts[0].lower() != b"basic" or len(header) > MAX_HEADER:
        raise TwilioError(AUTHENTICATE)
    try:
        sid, separator, secret = base64.b64decode(parts[1], validate=True).decode("utf-8").partition(":")
    except (ValueError, binascii.Error):
        raise TwilioError(AUTHENTICATE) from None
    if not separator:
        raise TwilioError(AUTHENTICATE)
    return sid, secret
