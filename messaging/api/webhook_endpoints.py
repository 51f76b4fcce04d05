"""REST views of webhook endpoints and their deliveries."""

from typing import Any

import django_filters
from django.conf import settings
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging import notifier
from messaging.api.access import user_of
from messaging.api.fields import (
    BoundedListField,
    SenderField,
    StrictBooleanField,
    StrictIntegerField,
    StrictStringField,
    UtcDateTimeField,
)
from messaging.api.known_names import StrictSerializer
from messaging.event_types import TEST, EventType
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.services.access import owned_by
from messaging.services.representation import isoformat_utc
from messaging.services.webhooks import endpoints, redelivery, secrets
from messaging.services.webhooks.endpoints import EndpointInput
from providers.http.public_addresses import Guard

# What the API calls the dialect without a name.
STANDARD = "standard"
Dialect = WebhookEndpoint.Dialect
ADD, VIEW, CHANGE = (f"messaging.{verb}_webhookendpoint" for verb in ("add", "view", "change"))


class EndpointSerializer(StrictSerializer):
    fixed = frozenset({"secret"})

    id = serializers.UUIDField(read_only=True)
    url = StrictStringField(max_length=500, help_text="An https or http URL on the public internet.")
    events = BoundedListField(
        child=serializers.ChoiceField([t.value for t in EventType]),
        required=False,
        max_length=len(EventType),
        help_text="Event types to deliver. Empty: all.",
    )
    dialect = serializers.ChoiceField(
        [STANDARD, Dialect.TWILIO.value],
        required=False,
        help_text="How the address is called: as Standard Webhooks describes (the default), or as Twilio does.",
    )
    number = SenderField(
        required=False,
        allow_null=True,
        help_text="One of your senders: only what is sent from it or received at it is delivered. Null: everything.",
    )
    description = StrictStringField(max_length=200, required=False, allow_blank=True)
    is_enabled = StrictBooleanField(required=False)
    disabled_reason = serializers.CharField(read_only=True, allow_null=True)
    failing_since = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="No delivery has succeeded since this time."
    )
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate_events(self, events: list[str]) -> list[str]:
        return list(dict.fromkeys(map(str, events)))

    def validate_dialect(self, dialect: str) -> str:
        return Dialect.STANDARD if dialect == STANDARD else dialect

    def validate_number(self, number: str | None) -> str:
        return number or ""

    def to_representation(self, instance: WebhookEndpoint) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "url": instance.url,
            "events": instance.events,
            "dialect": instance.dialect or STANDARD,
            "number": instance.number or None,
            "description": instance.description,
            "is_enabled": instance.is_enabled,
            "disabled_reason": instance.disabled_reason or None,
            "failing_since": isoformat_utc(instance.failing_since),
            "created_at": isoformat_utc(instance.created_at),
            "updated_at": isoformat_utc(instance.updated_at),
        }


class NewEndpointSerializer(EndpointSerializer):
    fixed = frozenset({"secret", "is_enabled"})
    is_enabled = None  # type: ignore[assignment]  # DRF's way to drop an inherited field: new endpoints are enabled


class SecretSerializer(serializers.Serializer):
    secret = serializers.CharField(help_text="Shown only once.")


class EndpointWithSecretSerializer(EndpointSerializer):
    secret = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="Shown only once. Null if the dialect is `twilio`: the owner's auth token signs.",
    )


class DefaultSecretSerializer(serializers.Serializer):
    created_at = serializers.DateTimeField(allow_null=True, help_text="Null: there is no default secret yet.")


class DeliverySerializer(serializers.Serializer):
    id = serializers.UUIDField()
    webhook_id = serializers.UUIDField(help_text="The `webhook-id` header, the same for every attempt.")
    type = serializers.ChoiceField([*(t.value for t in EventType), TEST])
    message = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(WebhookDelivery.State.values)
    attempts = serializers.IntegerField()
    response_status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    event_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    attempted_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: WebhookDelivery) -> dict[str, Any]:
        event = instance.event
        return {
            "id": str(instance.pk),
            "webhook_id": str(event.public_id if event else instance.pk),
            "type": event.type if event else TEST,
            "message": str(event.message_id) if event and event.message_id else None,
            "status": instance.state,
            "attempts": instance.attempts,
            "response_status": instance.response_status,
            "error": instance.error or None,
            "event_at": isoformat_utc(event.at if event else None),
            "next_attempt_at": isoformat_utc(instance.next_attempt_at),
            "attempted_at": isoformat_utc(instance.attempted_at),
            "finished_at": isoformat_utc(instance.finished_at),
            "created_at": isoformat_utc(instance.created_at),
        }


class RangeSerializer(StrictSerializer):
    since = UtcDateTimeField(help_text="Redeliver events at or after this time.")
    until = UtcDateTimeField(help_text="Redeliver events before this time.")
    after = StrictIntegerField(
        min_value=0, max_value=2**63 - 1, required=False, help_text="Only events with a higher `sequence`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["since"] >= attrs["until"]:
            raise serializers.ValidationError({"until": ["Must be after `since`."]}, code="not_after_since")
        return attrs


class RedeliveredSerializer(serializers.Serializer):
    redelivered = serializers.IntegerField()
    is_complete = serializers.BooleanField(help_text="False: events are left. Repeat the request with `after`.")
    after = serializers.IntegerField(
        required=False, help_text="The `after` of the next request. Absent if no events are left."
    )


class DeliveryFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(field_name="state", choices=WebhookDelivery.State.choices)

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []


class WebhookEndpointViewSet(viewsets.GenericViewSet):
    queryset = WebhookEndpoint.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = EndpointSerializer
    filterset_class: Any = None
    lookup_value_converter = "uuid"
    without_body = frozenset({"rotate_secret", "rotate_default_secret", "test", "redeliver_one"})
    action_permissions = {
        "create": ADD,
        "list": VIEW,
        "retrieve": VIEW,
        "partial_update": CHANGE,
        "destroy": "messaging.delete_webhookendpoint",
        "rotate_secret": CHANGE,
        "default_secret": VIEW,
        "rotate_default_secret": CHANGE,
        "test": CHANGE,
        "deliveries": "messaging.view_webhookdelivery",
        "redeliver_one": CHANGE,
        "redeliver": CHANGE,
    }

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows that the action filters and pages: deliveries for `deliveries`, otherwise endpoints."""
        if self.action == "deliveries":
            return self._endpoint().deliveries.select_related("event").order_by("-pk")
        return self._endpoints()

    def _endpoints(self) -> QuerySet[WebhookEndpoint]:
        visible = owned_by(user_of(self.request), VIEW)
        return WebhookEndpoint.objects.filter(visible, kind=WebhookEndpoint.Kind.ENDPOINT).order_by("-pk")

    def _endpoint(self) -> WebhookEndpoint:
        """Return the endpoint in the path. Raises `Http404` if the user may not see it."""
        return get_object_or_404(self._endpoints(), pk=self.kwargs["pk"])

    @extend_schema(responses=EndpointSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(EndpointSerializer(page, many=True).data)

    @extend_schema(request=NewEndpointSerializer, responses={201: EndpointWithSecretSerializer})
    def create(self, request: Request) -> Response:
        serializer = NewEndpointSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        wish = EndpointInput(**{**data, "events": tuple(data.get("events", ()))})
        endpoint, secret = endpoints.create(owner=user_of(request), data=wish, guard=_guard(), now=timezone.now())
        location = reverse("webhook-endpoints-detail", args=[endpoint.pk], request=request)
        body = {**EndpointSerializer(endpoint).data, "secret": secret}
        return Response(body, status=201, headers={"Location": location, "Cache-Control": "no-store"})

    @extend_schema(responses=EndpointSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(EndpointSerializer(self._endpoint()).data)

    @extend_schema(responses=EndpointSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        endpoint = self._endpoint()
        serializer = EndpointSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changed = endpoints.change(
            endpoint_id=endpoint.pk, changes=serializer.validated_data, guard=_guard(), now=timezone.now()
        )
        return Response(EndpointSerializer(changed).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        self._endpoint().delete()
        return Response(status=204)

    @extend_schema(request=None, responses=SecretSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        return _secret_response(endpoints.rotate_secret(endpoint_id=self._endpoint().pk, now=timezone.now()))

    @extend_schema(responses=DefaultSecretSerializer)
    @action(detail=False, url_path="default-secret", pagination_class=None)
    def default_secret(self, request: Request) -> Response:
        secret = secrets.default_secret(owner_id=user_of(request).pk)
        return Response({"created_at": isoformat_utc(secret.created_at if secret else None)})

    @extend_schema(request=None, responses=SecretSerializer)
    @action(detail=False, methods=["post"], url_path="default-secret/rotate")
    def rotate_default_secret(self, request: Request) -> Response:
        return _secret_response(endpoints.rotate_default_secret(owner=user_of(request), now=timezone.now()))

    @extend_schema(request=None, responses={202: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        return _accepted(endpoints.test(endpoint_id=self._endpoint().pk, now=timezone.now()))

    @extend_schema(responses=DeliverySerializer(many=True))
    @action(detail=True, queryset=WebhookDelivery.objects.none(), filterset_class=DeliveryFilter)
    def deliveries(self, request: Request, pk: str) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)

    @extend_schema(
        request=None,
        responses={202: DeliverySerializer},
        parameters=[OpenApiParameter("delivery_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
    )
    @action(detail=True, methods=["post"], url_path="deliveries/<uuid:delivery_id>/redeliver")
    def redeliver_one(self, request: Request, pk: str, delivery_id: str) -> Response:
        delivery = get_object_or_404(self._endpoint().deliveries, pk=delivery_id)
        return _accepted(redelivery.redeliver(delivery_id=delivery.pk, now=timezone.now()))

    @extend_schema(request=RangeSerializer, responses={202: RedeliveredSerializer})
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, pk: str) -> Response:
        endpoint = self._endpoint()
        serializer = RangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        done = redelivery.redeliver_range(endpoint_id=endpoint.pk, now=timezone.now(), **serializer.validated_data)
        notifier.notify_webhooks()
        more = {} if done.after is None else {"after": done.after}
        return Response({"redelivered": done.count, "is_complete": done.after is None, **more}, status=202)


def _guard() -> Guard:
    return Guard.allowing(settings.CALLBACK_ALLOWED_NETWORKS)


def _secret_response(text: str) -> Response:
    return Response({"secret": text}, headers={"Cache-Control": "no-store"})


def _accepted(delivery: WebhookDelivery) -> Response:
    notifier.notify_webhooks()
    return Response(DeliverySerializer(delivery).data, status=202)
