"""REST views of suppressions: numbers that must not be sent to."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import ErrorDetail, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging.api.access import user_of
from messaging.api.fields import NumberField, SenderField, StrictStringField, UtcDateTimeField
from messaging.api.filters import SuppressionFilter
from messaging.api.known_names import StrictSerializer
from messaging.models import Suppression
from messaging.services.access import sees_all
from messaging.services.recipients import opt_out_cases, suppressions
from messaging.services.representation import isoformat_utc

NEEDS_SOURCE = ErrorDetail("Say by `source` how the person said so.", "source_missing")


class NewSuppressionSerializer(StrictSerializer):
    number = NumberField(help_text="The number to suppress.")
    sender = SenderField(
        required=False,
        allow_null=True,
        help_text="Suppress messages from this sender only. Null: from all senders.",
    )
    reason = StrictStringField(required=False, allow_null=True, allow_blank=True, max_length=200)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # DRF removes it
        suppressions.CHANNELS,
        required=False,
        allow_null=True,
        help_text="How the person said so, for an opt-out that reached you otherwise than by text.",
    )
    requested_at = UtcDateTimeField(
        required=False,
        allow_null=True,
        needs_time_of_day=True,
        help_text="When the person said so; not in the future. Only with `source`.",
    )
    note = StrictStringField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=suppressions.MAX_NOTE,
        help_text="What is worth knowing later, such as where the letter is kept. Only with `source`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("source"):
            return attrs
        alone = {name: NEEDS_SOURCE for name in ("requested_at", "note") if attrs.get(name)}
        if alone:
            raise serializers.ValidationError(alone)
        return attrs


class SuppressionSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.CharField()
    sender = serializers.CharField(allow_null=True, help_text="Null: from all senders.")
    reason = serializers.CharField(allow_null=True)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # DRF removes it
        [*Suppression.Source.values, *Suppression.Channel.values],
        help_text="How the person said so, if that is known; otherwise what entered it.",
    )
    requested_at = serializers.DateTimeField(allow_null=True, help_text="When the person said so.")
    note = serializers.CharField(allow_null=True, help_text="Only for staff and the client that made it.")
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Suppression) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "number": instance.number,
            "sender": instance.sender or None,
            "reason": instance.reason or None,
            "source": instance.origin,
            "requested_at": isoformat_utc(instance.requested_at),
            "note": (instance.note or None) if self._may_read_note(instance) else None,
            "created_at": isoformat_utc(instance.created_at),
        }

    def _may_read_note(self, row: Suppression) -> bool:
        """Notes of staff are not for clients."""
        reader = user_of(self.context["request"])
        return reader.is_staff or row.created_by_id == reader.pk


class SuppressionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet
):
    """Suppressions for sender numbers the user may use, except those made by other clients. Staff see all."""

    queryset = Suppression.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = SuppressionSerializer
    filterset_class = SuppressionFilter
    lookup_value_converter = "uuid"
    action_permissions = {
        "list": "messaging.view_suppression",
        "retrieve": "messaging.view_suppression",
        "create": "messaging.add_suppression",
        "destroy": "messaging.delete_suppression",
    }

    def get_queryset(self) -> QuerySet[Suppression]:
        user = user_of(self.request)
        if sees_all(user, "messaging.view_suppression"):
            return Suppression.objects.order_by("-pk")
        return suppressions.visible_to(user).order_by("-pk")

    @extend_schema(
        request=NewSuppressionSerializer,
        responses={
            201: SuppressionSerializer,
            200: OpenApiResponse(SuppressionSerializer, "The suppression already exists."),
        },
    )
    def create(self, request: Request) -> Response:
        serializer = NewSuppressionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data, actor, now = serializer.validated_data, user_of(request), timezone.now()
        row, is_new = suppressions.add_by_user(
            number=data["number"],
            sender=data.get("sender") or suppressions.EVERY_SENDER,
            reason=data.get("reason") or "",
            channel=data.get("source") or "",
            requested_at=data.get("requested_at"),
            note=data.get("note") or "",
            actor=actor,
            now=now,
        )
        opt_out_cases.settle(
            number=row.number, actor=actor, owner=actor, note="The number has been suppressed.", now=now
        )
        headers = {"Location": reverse("suppressions-detail", args=[row.pk], request=request)} if is_new else {}
        return Response(self.get_serializer(row).data, status=201 if is_new else 200, headers=headers)

    def perform_destroy(self, instance: Suppression) -> None:
        user = user_of(self.request)
        if not user.is_staff and not suppressions.may_lift(instance, user=user):
            raise PermissionDenied(
                "This suppression also protects the person from other clients. Only staff can lift it."
            )
        suppressions.remove(suppression_id=instance.pk)
