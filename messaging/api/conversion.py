"""REST view of conversion: how many of the verifications that were started were approved."""

from datetime import UTC, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.policy.conversion import SHOWN_CERTAIN
from messaging.services.limits import conversion
from messaging.services.limits.conversion import GROUPS, Conversion

DEFAULT_DAYS = 7
MAX_GROUPS = 1_000
CERTAINTY = "With a certainty of 95 %, the true share is at least this. Null without verifications."


class ConversionQuerySerializer(serializers.Serializer):
    since = serializers.DateField(required=False, help_text="The first day, of UTC. Default: 7 days before `until`.")
    until = serializers.DateField(required=False, help_text="The last day. Default: today.")
    group_by = serializers.CharField(
        required=False, max_length=60, help_text=f"One or several of {', '.join(GROUPS)}, separated by commas."
    )

    def validate_group_by(self, value: str) -> list[str]:
        names = value.split(",")
        if not set(names) <= set(GROUPS) or len(set(names)) < len(names):
            raise serializers.ValidationError(f"Each must be one of {', '.join(GROUPS)}, once.", code="invalid_choice")
        return names


class ConversionRowSerializer(serializers.Serializer):
    prefix = serializers.CharField(required=False, help_text="The calling code and three digits.")
    country = serializers.CharField(required=False, help_text="Two letters; empty if the prefix belongs to none.")
    provider = serializers.CharField(
        required=False, help_text="The account that sent the code; empty for codes that were not sent, or not yet."
    )
    started = serializers.IntegerField()
    approved = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True, help_text="`approved` of `started`, from 0 to 1.")
    share_at_least = serializers.FloatField(allow_null=True, help_text=CERTAINTY)
    share_at_most = serializers.FloatField(allow_null=True, help_text=CERTAINTY.replace("least", "most"))


class ConversionsSerializer(serializers.Serializer):
    since = serializers.DateField()
    until = serializers.DateField()
    conversion = ConversionRowSerializer(many=True)


class ConversionViewSet(viewsets.ViewSet):
    action_permissions = {"retrieve": "messaging.view_verificationcount"}
    action_queries = {"retrieve": (ConversionQuerySerializer,)}

    @extend_schema(responses=ConversionsSerializer)
    def retrieve(self, request: Request) -> Response:
        query = ConversionQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wish = query.validated_data
        until = wish.get("until") or timezone.now().astimezone(UTC).date()
        since = wish.get("since") or max(until, until.min + timedelta(days=DEFAULT_DAYS)) - timedelta(days=DEFAULT_DAYS)
        group_by = wish.get("group_by") or []
        found, _ = conversion.sums(since=since, until=until, group_by=group_by, limit=MAX_GROUPS)
        return Response({"since": since, "until": until, "conversion": [_serialize(each) for each in found]})


def _serialize(found: Conversion) -> dict[str, Any]:
    share = found.share
    has_any = share.started > 0
    return {
        **found.group,
        "started": share.started,
        "approved": share.approved,
        "share": round(share.confirmed / share.started, 4) if has_any else None,
        "share_at_least": round(share.lower(SHOWN_CERTAIN), 4) if has_any else None,
        "share_at_most": round(share.upper(SHOWN_CERTAIN), 4) if has_any else None,
    }
