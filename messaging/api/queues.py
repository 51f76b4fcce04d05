"""REST views of queues: settings, pause and resume."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.fields import (
    QuietHoursField,
    StrictBooleanField,
    StrictIntegerField,
    StrictStringField,
    as_columns,
    quiet_hours_of,
)
from messaging.api.known_names import StrictSerializer
from messaging.models import OutboundQueue
from messaging.models.queue import MAX_BATCH, MAX_INTERVAL
from messaging.services.outbound import queues, sender_pools
from messaging.services.representation import isoformat_utc
from providers.routing import Strategy


class QueueSerializer(StrictSerializer):
    name = serializers.CharField(read_only=True)
    description = StrictStringField(max_length=200, allow_blank=True)
    batch_size = StrictIntegerField(
        min_value=1, max_value=MAX_BATCH, allow_null=True, help_text="Messages per interval. Null: no pace."
    )
    interval_seconds = StrictIntegerField(min_value=1, max_value=MAX_INTERVAL, allow_null=True)
    routing_strategy = serializers.ChoiceField([s.value for s in Strategy])
    preserve_order = StrictBooleanField()
    use_conversion = StrictBooleanField(
        help_text="One-time passwords go less often through accounts whose codes to a prefix are confirmed far less often."
    )
    is_paused = StrictBooleanField()
    quiet_hours = QuietHoursField(
        allow_null=True,
        help_text="Wall times in the recipient's zone between which its messages wait, other than one-time passwords and "
        "emergencies. An end before the beginning is on the next day.",
    )
    sender_pool = serializers.ListField(
        child=StrictStringField(max_length=16),
        help_text="Sender numbers for messages that name no sender. A recipient always gets the same one, of its own country "
        "if there is one. Empty: the default sender.",
    )
    depth = serializers.IntegerField(read_only=True, help_text="Number of queued messages.")
    oldest_queued_at = serializers.DateTimeField(read_only=True, allow_null=True)


def serialize_queues(rows: Sequence[OutboundQueue]) -> list[dict[str, Any]]:
    names = [row.name for row in rows]
    depths, oldest = queues.depths(names), queues.oldest_queued(names)
    pools = sender_pools.of_queues(names)
    return [_serialize(row, depths[row.name], oldest.get(row.name), pools[row.name]) for row in rows]


def _serialize(queue: OutboundQueue, depth: int, oldest: datetime | None, pool: list[str]) -> dict[str, Any]:
    return {
        "name": queue.name,
        "description": queue.description,
        "batch_size": queue.batch_size,
        "interval_seconds": queue.interval_seconds,
        "routing_strategy": queue.routing_strategy,
        "preserve_order": queue.preserve_order,
        "use_conversion": queue.use_conversion,
        "is_paused": queue.is_paused,
        "quiet_hours": quiet_hours_of(queue),
        "sender_pool": pool,
        "depth": depth,
        "oldest_queued_at": isoformat_utc(oldest),
    }


class QueueViewSet(viewsets.GenericViewSet):
    queryset = OutboundQueue.objects.order_by("name")
    serializer_class = QueueSerializer
    filter_backends = []
    lookup_url_kwarg = "name"
    lookup_value_converter = "slug"
    without_body = frozenset({"pause", "resume"})
    action_permissions = {
        "list": "messaging.view_outboundqueue",
        "retrieve": "messaging.view_outboundqueue",
        "partial_update": "messaging.change_outboundqueue",
        "pause": "messaging.change_outboundqueue",
        "resume": "messaging.change_outboundqueue",
    }

    @extend_schema(responses=QueueSerializer(many=True))
    def list(self, request: Request) -> Response:
        rows = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(serialize_queues(rows))

    def retrieve(self, request: Request, name: str) -> Response:
        return _response(self.get_object())

    def partial_update(self, request: Request, name: str) -> Response:
        serializer = QueueSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        return _changed(name, as_columns(serializer.validated_data))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, name: str) -> Response:
        return _changed(name, {"is_paused": True})

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, name: str) -> Response:
        return _changed(name, {"is_paused": False})


def _changed(name: str, changes: dict[str, Any]) -> Response:
    try:
        return _response(queues.change(name=name, changes=changes))
    except OutboundQueue.DoesNotExist:
        raise Http404 from None


def _response(queue: OutboundQueue) -> Response:
    return Response(serialize_queues([queue])[0])
