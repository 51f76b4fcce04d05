"""REST view of what the user of the token has decided for its own messages."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.api.fields import QuietHoursField, StrictStringField, as_columns, quiet_hours_of
from messaging.api.known_names import StrictSerializer
from messaging.models import OwnerPolicy
from messaging.services.outbound import owner_policies


class PolicySerializer(StrictSerializer):
    default_time_zone = StrictStringField(
        max_length=64,
        allow_null=True,
        help_text="IANA name of the zone of numbers that tell none, such as those of satellite phones. Null: that of the "
        "installation.",
    )
    quiet_hours = QuietHoursField(
        allow_null=True,
        help_text="Wall times in the recipient's zone between which messages wait. An end before the beginning is on the next "
        "day.",
    )


class PolicyViewSet(viewsets.ViewSet):
    serializer_class = PolicySerializer
    action_permissions = {
        "retrieve": "messaging.view_ownerpolicy",
        "partial_update": "messaging.change_ownerpolicy",
    }

    @extend_schema(responses=PolicySerializer)
    def retrieve(self, request: Request) -> Response:
        return Response(_serialize(owner_policies.of(user_of(request))))

    @extend_schema(request=PolicySerializer(partial=True), responses=PolicySerializer)
    def partial_update(self, request: Request) -> Response:
        serializer = PolicySerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changes = as_columns(serializer.validated_data)
        if "default_time_zone" in changes:
            changes["default_time_zone"] = changes["default_time_zone"] or ""
        return Response(_serialize(owner_policies.change(owner=user_of(request), changes=changes, now=timezone.now())))


def _serialize(policy: OwnerPolicy) -> dict[str, Any]:
    return {"default_time_zone": policy.default_time_zone or None, "quiet_hours": quiet_hours_of(policy)}
