"""REST views of messages: choose the rows, call the service, build the response."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging import log_context, notifier, states
from messaging.api import examples
from messaging.api.access import messages_of, user_of
from messaging.api.batches import ItemReader, submit_batch
from messaging.api.dry_run import DRY_RUN, DryRunSerializer, is_dry_run
from messaging.api.filters import MessageFilter
from messaging.api.pagination import KeysetOrOffsetPagination
from messaging.api.serializers import (
    AttemptSerializer,
    BatchAnswerSerializer,
    BatchEnvelopeSerializer,
    EventSerializer,
    MessageSerializer,
    NewBatchSerializer,
    NewInboundSerializer,
    NewMessageSerializer,
    ReasonSerializer,
    RetryReportSerializer,
    serialize_retry_report,
)
from messaging.inbound_limits import inbound_limits
from messaging.models import Message
from messaging.services import transitions
from messaging.services.errors import InvalidField
from messaging.services.inbound.receive import receive
from messaging.services.outbound import idempotency
from messaging.services.outbound.accept import accept
from messaging.services.outbound.cancel import cancel
from messaging.services.outbound.dry_run import dry_run
from messaging.services.outbound.idempotency import IdempotencyKey
from messaging.services.outbound.retry import retry, retry_many
from messaging.services.representation import serialize_message_for, serialize_message_lenient_for
from messaging.states import Status

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[ -~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="1 to 255 printable ASCII characters. A repeat within 24 hours returns the first response.",
)
ENDED_BADLY = OpenApiParameter(
    "status",
    {"type": "array", "items": {"type": "string", "enum": sorted(states.RETRYABLE)}, "minItems": 1},
    required=True,
    description="The statuses to retry. May be repeated.",
)
REPLAY_HEADER = "Idempotent-Replay"


class MessageViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    queryset = Message.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = KeysetOrOffsetPagination
    lookup_value_converter = "uuid"
    without_body = frozenset({"cancel"})
    action_queries = {"create": (DRY_RUN,), "retry_many": (MessageFilter, ENDED_BADLY)}
    action_permissions = {
        "create": "messaging.add_message",
        "batch": "messaging.add_message",
        "inbound": "messaging.add_message",
        "list": "messaging.view_message",
        "retrieve": "messaging.view_message",
        "events": "messaging.view_message",
        "attempts": "messaging.view_message",
        "cancel": "messaging.change_message",
        "retry": "messaging.retry_message",
        "retry_many": "messaging.retry_message",
    }

    def get_queryset(self) -> QuerySet[Message]:
        return messages_of(user_of(self.request)).prefetch_related("attachments")

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, DRY_RUN],
        request=NewMessageSerializer,
        responses={
            202: MessageSerializer,
            200: OpenApiResponse(DryRunSerializer, "With `dry_run=true`: what would become of the message."),
        },
        examples=examples.NEW_MESSAGE,
    )
    def create(self, request: Request) -> Response:
        if is_dry_run(request):
            return self._dry_run(request)
        accepted = accept(
            owner=user_of(request),
            draft=ItemReader().read(request.data),
            default_queue=settings.DEFAULT_QUEUE,
            now=timezone.now(),
            key=_idempotency_key(request),
        )
        body, headers = accepted.response, {}
        if accepted.message is None:
            headers[REPLAY_HEADER] = "true"
        else:
            log_context.log_accepted([accepted.message.pk])
            _notify_queues([accepted.message])
        headers["Location"] = request.build_absolute_uri(f"{request.path}{body['id']}/")
        return Response(body, status=202, headers=headers)

    def _dry_run(self, request: Request) -> Response:
        _idempotency_key(request)  # refuses an invalid one, as without a dry run
        found = dry_run(
            owner=user_of(request),
            draft=ItemReader().read(request.data),
            default_queue=settings.DEFAULT_QUEUE,
            now=timezone.now(),
        )
        return Response(DryRunSerializer(found).data)

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=NewBatchSerializer,
        responses={202: BatchAnswerSerializer},
    )
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        envelope = BatchEnvelopeSerializer(data=request.data)
        envelope.is_valid(raise_exception=True)
        items = envelope.validated_data["messages"]
        body, headers = _idempotently(request, lambda: _submit_batch(request, items))
        return Response(body, status=202, headers=headers)

    @extend_schema(
        request=NewInboundSerializer,
        responses={
            201: MessageSerializer,
            200: OpenApiResponse(MessageSerializer, "A repeat: the first message is returned."),
        },
    )
    @action(detail=False, methods=["post"], filterset_class=None)
    def inbound(self, request: Request) -> Response:
        serializer = NewInboundSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        received = receive(
            incoming=serializer.incoming(), owner=user_of(request), limits=inbound_limits(), now=timezone.now()
        )
        body = serialize_message_for(user_of(request), received.message)
        if received.is_repeat:
            return Response(body, headers={"Duplicate": "true"})
        transaction.on_commit(notifier.notify_inbound)
        return Response(
            body, status=201, headers={"Location": reverse("messages-detail", args=[body["id"]], request=request)}
        )

    @extend_schema(responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=None, filterset_class=None)
    def events(self, request: Request, pk: str) -> Response:
        return Response(EventSerializer(transitions.history(self.get_object()), many=True).data)

    @extend_schema(responses=AttemptSerializer(many=True))
    @action(detail=True, pagination_class=None, filterset_class=None)
    def attempts(self, request: Request, pk: str) -> Response:
        return Response(AttemptSerializer(self.get_object().delivery_attempts.all(), many=True).data)

    @extend_schema(request=None, responses=MessageSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        message = cancel(message_id=self.get_object().pk, actor=user_of(request), now=timezone.now())
        notifier.notify_webhooks()
        return Response(serialize_message_lenient_for(user_of(request), message))

    @extend_schema(request=ReasonSerializer, responses=MessageSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        reason = ReasonSerializer(data=request.data)
        reason.is_valid(raise_exception=True)
        message = retry(
            message_id=self.get_object().pk,
            reason=reason.validated_data["reason"],
            actor=user_of(request),
            now=timezone.now(),
        )
        _notify_queues([message])
        return Response(serialize_message_lenient_for(user_of(request), message))

    @extend_schema(filters=True, request=ReasonSerializer, responses=RetryReportSerializer)
    @action(detail=False, methods=["post"], url_path="retry", pagination_class=None)
    def retry_many(self, request: Request) -> Response:
        reason = ReasonSerializer(data=request.data)
        reason.is_valid(raise_exception=True)
        _refuse_empty_filters(request)
        statuses = set(request.query_params.getlist("status"))
        if not statuses or statuses - states.RETRYABLE:
            raise InvalidField("status", "not_retryable", "Name one or more of failed, undelivered and unknown.")
        report = retry_many(
            messages=self.filter_queryset(self.get_queryset()),
            reason=reason.validated_data["reason"],
            actor=user_of(request),
            now=timezone.now(),
        )
        for queue in sorted(report.queues):
            notifier.notify_queue(queue)
        return Response(serialize_retry_report(report))


def _idempotency_key(request: Request) -> IdempotencyKey | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    return IdempotencyKey(idempotency.check_key(key), idempotency.fingerprints(request.path, request.data))


def _idempotently(request: Request, store: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the response body and headers. With an Idempotency-Key, a repeat gets the stored body of the first request."""
    key = _idempotency_key(request)
    if key is None:
        return store(), {}
    body, replayed = idempotency.once(
        owner=user_of(request),
        key=key.key,
        request_fingerprints=key.fingerprints,
        now=timezone.now(),
        operation=store,
    )
    return body, {REPLAY_HEADER: "true"} if replayed else {}


def _refuse_empty_filters(request: Request) -> None:
    """Refuse empty filters: lists ignore them, but a bulk action must not apply to more messages than were meant."""
    for name, values in request.query_params.lists():
        if not all(value.strip() for value in values):
            raise InvalidField(name, "blank", "A filter needs a value.")


def _notify_queues(messages: list[Message]) -> None:
    for queue in {message.queue_id for message in messages if message.status == Status.QUEUED and message.queue_id}:
        transaction.on_commit(partial(notifier.notify_queue, queue))


def _submit_batch(request: Request, items: list[Any]) -> dict[str, Any]:
    accepted, results = submit_batch(owner=user_of(request), items=items, now=timezone.now())
    log_context.log_accepted([message.pk for message in accepted])
    _notify_queues(accepted)
    return {"accepted": len(accepted), "rejected": len(items) - len(accepted), "results": results}
