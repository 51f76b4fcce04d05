"""Supabase's "Send SMS" hook. It is authenticated by its signature, and answered with an empty object."""

import io
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import e164, request_limits
from messaging.api.integrations.alerts import announce
from messaging.api.integrations.parsers import ForeignJSONParser
from messaging.api.integrations.serializers import EmptySerializer, SupabaseSerializer
from messaging.api.known_names import KnownNames
from messaging.models import AlertReceiver
from messaging.request_bodies import read_bounded
from messaging.services.alerts import hooks
from messaging.services.alerts.hooks import OneTimePassword
from messaging.services.errors import InvalidField
from providers.errors import InvalidSignature

MAX_BODY_BYTES = 256 * 1024
HOOK = OpenApiParameter(
    "receiver", {"type": "string"}, description="The name of the hook's alert receiver. Needed if there are several."
)
PERMISSION = "messaging.add_message"
_PASSWORD = re.compile(r"[0-9A-Za-z-]{1,32}")


class SupabaseViewSet(viewsets.ViewSet):
    authentication_classes = ()
    permission_classes = [KnownNames]
    throttle_classes = ()  # requests are counted when it is known whose they are
    action_queries = {"create": (HOOK,)}

    @extend_schema(auth=[], request=SupabaseSerializer, responses={200: EmptySerializer})
    def create(self, request: Request) -> Response:
        now = timezone.now()
        body = read_bounded(request._request, MAX_BODY_BYTES)  # noqa: SLF001 (the signature covers the raw bytes)
        receiver, webhook_id = _authenticated(request, body)
        admission = request_limits.admit(f"alert-receiver:{receiver.pk}")
        if not admission.admitted:
            raise exceptions.Throttled(wait=admission.wait)
        password = _read(ForeignJSONParser().parse(io.BytesIO(body)), webhook_id)
        message = hooks.send_password(
            receiver=receiver, password=password, default_queue=settings.DEFAULT_QUEUE, now=now
        )
        announce([message] if message else [])
        return Response({})


def _authenticated(request: Request, body: bytes) -> tuple[AlertReceiver, str]:
    """Raises `InvalidSignature`, also when there is no such receiver: names are not for strangers."""
    receiver = hooks.receiver_of(request.query_params.get("receiver", ""))
    if receiver is None:
        raise InvalidSignature("there is no such hook, or there are several")
    headers = {name.lower(): value for name, value in request.headers.items()}
    webhook_id = hooks.verify(receiver, headers, body, now=timezone.now())
    if not (receiver.owner.is_active and receiver.owner.has_perm(PERMISSION)):
        raise exceptions.PermissionDenied
    return receiver, webhook_id


def _read(data: Mapping[str, Any], webhook_id: str) -> OneTimePassword:
    """`sms.phone` is the number to confirm; when users change their number, `user.phone` is still the old one.

    Supabase stores numbers without a plus. Raises `InvalidField`.
    """
    sms, user, metadata = (_object(data.get(name)) for name in ("sms", "user", "metadata"))
    number = sms.get("phone") or user.get("phone")
    if not isinstance(number, str):
        raise InvalidField("user.phone", "required", "The hook names no number.")
    password = sms.get("otp")
    if not isinstance(password, str) or not _PASSWORD.fullmatch(password):
        raise InvalidField("sms.otp", "invalid", "A password has at most 32 letters and digits.")
    try:
        to = e164.normalise(number if number.startswith("+") else f"+{number}")
    except e164.InvalidNumber as error:
        raise InvalidField("user.phone", error.code, str(error)) from None
    # With the number and the password: an odd id that many requests have must not make them repeats of one another.
    request_id = metadata.get("uuid")
    identities = [f"id {webhook_id}"] + ([f"uuid {request_id} {to} {password}"] if isinstance(request_id, str) else [])
    return OneTimePassword(to, password, tuple(identities))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
