"""Uptime Kuma's "SMS Gateway" notifications: `to` and `body`, with an API token in `X-API-Key`."""

import re
from collections.abc import Mapping
from typing import cast

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.api.authentication import BearerAuthentication
from messaging.api.integrations.alerts import receive_notice
from messaging.api.integrations.parsers import BoundedFormParser, ForeignJSONParser
from messaging.api.integrations.serializers import NoticeResultSerializer, UptimeKumaSerializer
from messaging.api.integrations.targets import read_numbers
from messaging.models import ApiToken
from messaging.services.alerts import groups, texts
from messaging.services.alerts.notices import AlertTarget, Notice
from messaging.services.errors import InvalidField

MAX_BODY = 10_000
# `[Name of the monitor] [🔴 Down] Why`
_MONITOR = re.compile(r"\s*\[([^\]]{1,100})\]")
UNNAMED = "Uptime Kuma"
RESPONSES = {202: NoticeResultSerializer}


class ApiKeyAuthentication(BearerAuthentication):
    """One of our tokens in `X-API-Key`, or as a bearer token."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        key = request.META.get("HTTP_X_API_KEY")
        if key is None:
            return cast("tuple[User, ApiToken] | None", super().authenticate(request))
        return self.authenticate_credentials(key.encode("utf-8", "replace"))


class UptimeKumaViewSet(viewsets.ViewSet):
    """`send` is at the path that Uptime Kuma adds to the address in its settings."""

    authentication_classes = [ApiKeyAuthentication]
    parser_classes = [ForeignJSONParser, BoundedFormParser]
    action_permissions = {"create": "messaging.add_message", "send": "messaging.add_message"}

    @extend_schema(request=UptimeKumaSerializer, responses=RESPONSES)
    def create(self, request: Request) -> Response:
        return self._receive(request)

    @extend_schema(request=UptimeKumaSerializer, responses=RESPONSES)
    def send(self, request: Request) -> Response:
        return self._receive(request)

    def _receive(self, request: Request) -> Response:
        data = cast("Mapping[str, object]", request.data)  # both parsers return an object
        numbers = [each.strip() for each in _field(data, "to").split(",")]
        body = texts.printable_text(_field(data, "body")[:MAX_BODY])
        if not body:
            raise InvalidField("body", "required", "Give the text as a string.")
        target = AlertTarget(user_of(request), read_numbers(numbers))
        monitor = _MONITOR.match(body)
        name = groups.clean(monitor[1] if monitor else "", groups.MAX_NAME) or UNNAMED
        return receive_notice(target, Notice(texts.shortened(body, max_segments=target.max_segments), {name: 1}))


def _field(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidField(name, "required", "Give it as a string.")
    return value
