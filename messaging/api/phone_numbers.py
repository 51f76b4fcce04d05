"""REST views of phone numbers and their conversations."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging.api.access import messages_of, user_of
from messaging.api.filters import PhoneNumberFilter, as_number
from messaging.api.pagination import ConversationPagination
from messaging.api.serializers import MessageSerializer, PhoneNumberSerializer, ReasonSerializer
from messaging.models import Message, PhoneNumber
from messaging.services.access import sees_all
from messaging.services.recipients import phone_numbers
from messaging.states import Direction


def sides(number: Any) -> tuple[Q, Q]:
    """Return the conditions on messages to and from this number. Each has its own index."""
    return Q(direction=Direction.OUTBOUND, to_number=number), Q(direction=Direction.INBOUND, from_number=number)


class PhoneNumberViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Numbers that the user has sent a message to or received one from. Staff with the permission see all."""

    queryset = PhoneNumber.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = PhoneNumberSerializer
    filterset_class = PhoneNumberFilter
    lookup_url_kwarg = "number"
    lookup_value_converter = "str"
    action_permissions = {
        "list": "messaging.view_phonenumber",
        "retrieve": "messaging.view_phonenumber",
        "messages": "messaging.view_message",
        "activate": "messaging.change_phonenumber",
        "deactivate": "messaging.change_phonenumber",
    }

    def get_queryset(self) -> QuerySet[PhoneNumber]:
        rows, user = PhoneNumber.objects.order_by("number"), user_of(self.request)
        if sees_all(user, "messaging.view_phonenumber"):
            return rows
        sent, received = (Exists(Message.objects.filter(side, owner=user)) for side in sides(OuterRef("number")))
        return rows.filter(sent | received)

    def get_object(self) -> PhoneNumber:
        given = self.kwargs["number"]
        row = None if "\x00" in given else self.get_queryset().filter(number=as_number(given)).first()
        if row is None:
            raise Http404
        return row

    @extend_schema(responses=MessageSerializer(many=True))
    @action(detail=True, filterset_class=None, pagination_class=ConversationPagination)
    def messages(self, request: Request, number: str) -> Response:
        self.sides = sides(self.get_object().number)
        page = self.paginate_queryset(messages_of(user_of(request)).prefetch_related("attachments"))
        return self.get_paginated_response(
            MessageSerializer(page, many=True, context=self.get_serializer_context()).data
        )

    @extend_schema(request=ReasonSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, number: str) -> Response:
        return self._set(request, PhoneNumber.Status.ACTIVE)

    @extend_schema(request=ReasonSerializer)
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
