"""Figures about one's messages over REST."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.services.access import sees_all
from messaging.services.reporting import statistics
from messaging.services.representation import isoformat_utc
from messaging.states import Status


class StatsQuerySerializer(serializers.Serializer):
    since = serializers.DateTimeField(
        required=False, help_text="Count what was processed from this hour on; hours are kept for 400 days."
    )


class ByStatusSerializer(serializers.Serializer):
    """How many messages have each status now."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {status.value: serializers.IntegerField() for status in Status}


class StatsSerializer(serializers.Serializer):
    messages_processed = serializers.IntegerField(
        help_text="Messages that have come to an end: outbound ones in a final status, inbound ones that are processed."
    )
    queue_size = serializers.IntegerField(help_text="Messages that wait now: queued, sending, received or stored.")
    average_processing_seconds = serializers.FloatField(
        allow_null=True, help_text="From the moment a message was due to its end; null while none has ended."
    )
    by_status = ByStatusSerializer()
    since = serializers.DateTimeField(allow_null=True, help_text="The hour of `since`; null: from the beginning.")


class StatsViewSet(viewsets.ViewSet):
    action_permissions = {"retrieve": "messaging.view_message"}
    action_queries = {"retrieve": (StatsQuerySerializer,)}

    @extend_schema(responses=StatsSerializer)
    def retrieve(self, request: Request) -> Response:
        query = StatsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        user = user_of(request)
        owner_id = None if sees_all(user, "messaging.view_message") else user.pk
        found = statistics.statistics(owner_id=owner_id, since=query.validated_data.get("since"))
        return Response(
            {
                "messages_processed": found.processed,
                "queue_size": found.queue_size,
                "average_processing_seconds": found.average_seconds,
                "by_status": found.by_status,
                "since": isoformat_utc(found.since),
            }
        )
