"""Phone numbers over REST."""

from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.filters import PhoneNumberFilter, as_number
from messaging.api.serializers import PhoneNumberSerializer, ReasonSerializer
from messaging.models import Message, PhoneNumber
from messaging.services import phone_numbers


@extend_schema_view(
    list=extend_schema(summary="List phone numbers", tags=["phone numbers"]),
    retrieve=extend_schema(summary="Read one phone number", tags=["phone numbers"]),
)
class PhoneNumberViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Numbers that the user has written to; staff with the permission see all."""

    queryset = PhoneNumber.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = PhoneNumberSerializer
    filterset_class = PhoneNumberFilter
    lookup_url_kwarg = "number"
    lookup_value_converter = "str"
    action_permissions = {
        "list": "messaging.view_phonenumber",
        "retrieve": "messaging.view_phonenumber",
        "activate": "messaging.change_phonenumber",
        "deactivate": "messaging.change_phonenumber",
    }

    def get_queryset(self) -> QuerySet[PhoneNumber]:
        rows = PhoneNumber.objects.order_by("number")
        user = self.request.user
        if user.is_staff and user.has_perm("messaging.view_phonenumber"):
            return rows
        return rows.filter(Exists(Message.objects.filter(to_number=OuterRef("number"), owner=user)))

    def get_object(self) -> PhoneNumber:
        given = self.kwargs["number"]
        row = None if "\x00" in given else self.get_queryset().filter(number=as_number(given)).first()
        if row is None:
            raise Http404
        return row

    @extend_schema(summary="Allow messages again", tags=["phone numbers"], request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, number: str) -> Response:
        return self._set(request, PhoneNumber.Status.ACTIVE)

    @extend_schema(summary="Refuse new messages", tags=["phone numbers"], request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, number: str) -> Response:
        return self._set(request, PhoneNumber.Status.INACTIVE)

    def _set(self, request: Request, status: str) -> Response:
        row = self.get_object()
        reason = ReasonSerializer(data=request.data)
        reason.is_valid(raise_exception=True)
        changed = phone_numbers.set_status(
            number=row.number, status=status, reason=reason.validated_data["reason"], now=timezone.now()
        )
        return Response(PhoneNumberSerializer(changed).data)
