"""REST views of opt-out cases: texts that probably ask for no more messages."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import user_of
from messaging.api.fields import StrictStringField
from messaging.api.filters import OptOutCaseFilter
from messaging.api.known_names import StrictSerializer
from messaging.models import OptOutCase
from messaging.models.encrypted import fault_of
from messaging.services.access import sees_all
from messaging.services.recipients import opt_out_cases
from messaging.services.representation import HIDDEN, isoformat_utc, may_read_texts

CHANGE = "messaging.change_optoutcase"
STATUSES = ("open", "suppressed", "dismissed")


class DecisionSerializer(StrictSerializer):
    note = StrictStringField(
        required=False, allow_null=True, allow_blank=True, max_length=opt_out_cases.MAX_NOTE, help_text="Why."
    )


class DismissalSerializer(StrictSerializer):
    note = StrictStringField(max_length=opt_out_cases.MAX_NOTE, help_text="Why it is no opt-out.")


class OptOutCaseSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    number = serializers.CharField(help_text="The person's number.")
    sender = serializers.CharField(allow_null=True, help_text="The sender that the text was for. Null: not known.")
    senders = serializers.ListField(
        child=serializers.CharField(allow_null=True), help_text="The senders that are suppressed. Null: all senders."
    )
    message_id = serializers.UUIDField(allow_null=True, help_text="Null if the message was not stored, or is deleted.")
    message = serializers.CharField(help_text="The person's words.")
    status = serializers.ChoiceField(STATUSES)
    overdue = serializers.BooleanField()
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(help_text="Ten business days after the text arrived.")
    decided_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_null=True)

    def to_representation(self, instance: OptOutCase) -> dict[str, Any]:
        is_open = instance.decision == OptOutCase.Decision.OPEN
        return {
            "id": str(instance.pk),
            "number": instance.number,
            "sender": instance.sender or None,
            "senders": [sender or None for sender in instance.senders],
            "message_id": str(instance.message_id) if instance.message_id else None,
            "message": self._words(instance),
            "status": str(instance.decision) or "open",
            "overdue": is_open and instance.due_at < timezone.now(),
            "opened_at": isoformat_utc(instance.opened_at),
            "due_at": isoformat_utc(instance.due_at),
            "decided_at": isoformat_utc(instance.decided_at),
            "note": instance.note or None,
        }

    def _words(self, case: OptOutCase) -> str:
        if not may_read_texts(user_of(self.context["request"]), case.owner_id):
            return HIDDEN
        return "" if fault_of(case, "text") else case.text


class OptOutCaseViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Cases of texts to the user. Staff with the permission see all."""

    queryset = OptOutCase.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = OptOutCaseSerializer
    filterset_class = OptOutCaseFilter
    lookup_value_converter = "uuid"
    action_permissions = {
        "list": opt_out_cases.VIEW,
        "retrieve": opt_out_cases.VIEW,
        "suppress": (CHANGE, "messaging.add_suppression"),
        "dismiss": CHANGE,
    }

    def get_queryset(self) -> QuerySet[OptOutCase]:
        return opt_out_cases.visible_to(user_of(self.request))

    @extend_schema(request=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def suppress(self, request: Request, pk: UUID) -> Response:
        user, note = user_of(request), self._note(DecisionSerializer(data=request.data))
        case = opt_out_cases.suppress(
            case_id=self.get_object().pk,
            actor=user,
            is_staff=sees_all(user, opt_out_cases.VIEW),
            note=note,
            now=timezone.now(),
        )
        return Response(self.get_serializer(case).data)

    @extend_schema(request=DismissalSerializer)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: UUID) -> Response:
        note = self._note(DismissalSerializer(data=request.data))
        case = opt_out_cases.dismiss(
            case_id=self.get_object().pk, actor=user_of(request), note=note, now=timezone.now()
        )
        return Response(self.get_serializer(case).data)

    def _note(self, given: StrictSerializer) -> str:
        given.is_valid(raise_exception=True)
        return given.validated_data.get("note") or ""
