"""REST view of message statistics."""

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
        required=False, help_text="Count messages processed from this hour on. Hourly counts are kept for 400 days."
    )


class ByStatusSerializer(serializers.Serializer):
    """The number of messages now in each status."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {status.value: serializers.IntegerField() for status in Status}


class StatsSerializer(serializers.Serializer):
    messages_processed = serializers.IntegerField(
        help_text="Finished messages: outbound ones in a final status and inbound ones that are processed."
    )
    queue_size = serializers.IntegerField(help_text="Messages waiting now: queued, sending, received or stored.")
    average_processing_seconds = serializers.FloatField(
        allow_null=True,
        help_text="Average time from when a message was due until it finished. Null if none has finished.",
    )
    by_status = ByStatusSerializer()
    since = serializers.DateTimeField(allow_null=True, help_text="Start of the hour given in `since`. Null: all time.")


class StatsViewSet(viewsets.ViewSet):
    action_permissions = {"retrieve": "messaging.view_message"}
    action_queries = {"retrieve": (StatsQuerySerializer,)}

    @extend_schema(responses=StatsSerializer)
    def retrieve(self, request: Request) -> Response:
        query = StatsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        user = user_of(request)
        owner_id = None if sees_all(user, "messaging.view_message") else user.pk
        result = statistics.statistics(owner_id=owner_id, since=query.validated_data.get("since"))
        return Response(
            {
                "messages_processed": result.processed,
                "queue_size": result.queue_size,
                "average_processing_seconds": result.average_seconds,
                "by_status": result.by_status,
                "since": isoformat_utc(result.since),
            }
        )
