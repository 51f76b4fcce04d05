"""Webhooks of Alertmanager and Grafana."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, cast

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import log_context, notifier
from messaging.api.integrations.parsers import ForeignJSONParser
from messaging.api.integrations.payloads import read_group
from messaging.api.integrations.serializers import AlertmanagerSerializer, GrafanaSerializer, NoticeResultSerializer
from messaging.api.integrations.targets import RECEIVER, SENDS_RESOLVED, TO, sends_resolved, target_of
from messaging.models import Message
from messaging.services.alerts import notices, texts
from messaging.services.alerts.notices import AlertTarget, Notice, NoticeResult

# Long enough for the repeats of a webhook whose answer was lost.
KEPT_WITHOUT_START = timedelta(hours=1)
RESPONSES = {
    202: NoticeResultSerializer,
    200: OpenApiResponse(NoticeResultSerializer, "A repeat, or only alerts that have ended: nothing was sent."),
}


class TooManyWebhooks(exceptions.APIException):
    """Alertmanager repeats a webhook soon after a 5xx status only; after any other it waits for its next group interval."""

    status_code = 503
    default_detail = "Too many requests."
    default_code = "throttled"

    def __init__(self, wait: float | None) -> None:
        super().__init__()
        self.wait = wait


class AlertGroupViewSet(viewsets.ViewSet):
    parser_classes = [ForeignJSONParser]
    action_permissions = {"create": "messaging.add_message"}
    action_queries = {"create": (TO, RECEIVER, SENDS_RESOLVED)}

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        raise TooManyWebhooks(wait)

    def receive(self, request: Request) -> Response:
        target = target_of(request)
        with_resolved = sends_resolved(request, target)
        group = read_group(cast("Mapping[str, Any]", request.data))  # as the parser returns
        if not with_resolved:
            group = group.without_resolved()
        if not group.alerts:
            return Response(NoticeResultSerializer(NoticeResult()).data)
        text = texts.alert_text(group, template=target.template, max_segments=target.max_segments)
        kept_for = notices.KEPT_FOR if group.tells_occurrences_apart else KEPT_WITHOUT_START
        return receive_notice(target, Notice(text, group.counts, (group.identity,), kept_for))


class AlertmanagerViewSet(AlertGroupViewSet):
    @extend_schema(request=AlertmanagerSerializer, responses=RESPONSES)
    def create(self, request: Request) -> Response:
        return self.receive(request)


class GrafanaViewSet(AlertGroupViewSet):
    @extend_schema(request=GrafanaSerializer, responses=RESPONSES)
    def create(self, request: Request) -> Response:
        return self.receive(request)


def receive_notice(target: AlertTarget, notice: Notice) -> Response:
    result = notices.receive(target=target, notice=notice, default_queue=settings.DEFAULT_QUEUE, now=timezone.now())
    announce(result.messages)
    return Response(NoticeResultSerializer(result).data, status=200 if result.is_repeat else 202)


def announce(messages: Iterable[Message]) -> None:
    """Log the messages that this request has stored, and notify their queues."""
    stored = list(messages)
    log_context.log_accepted([message.pk for message in stored])
    for queue in {message.queue_id for message in stored if message.queue_id}:
        transaction.on_commit(partial(notifier.notify_queue, queue))
