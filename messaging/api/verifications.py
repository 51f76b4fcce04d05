"""REST views of verifications: send a code to a number, and check what its reader repeats."""

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import log_context, notifier, one_time_codes
from messaging.api.access import user_of
from messaging.api.fields import NumberField, SenderField, StrictIntegerField, StrictStringField
from messaging.api.known_names import StrictSerializer
from messaging.api.messages import IDEMPOTENCY_KEY, REPLAY_HEADER
from messaging.models import Verification
from messaging.services.access import owned_by
from messaging.services.outbound import idempotency
from messaging.services.representation import isoformat_utc
from messaging.services.verification import check as checks
from messaging.services.verification import texts
from messaging.services.verification.start import (
    DEFAULT_LENGTH,
    DEFAULT_TTL,
    LONGEST_TTL,
    SHORTEST_TTL,
    VerificationInput,
    start,
)
from messaging.states import Status as MessageStatus

VIEW = "messaging.view_verification"
CODE = rf"^[0-9]{{{one_time_codes.SHORTEST},{one_time_codes.LONGEST}}}\Z"
STATUSES = Verification.Status.values


class NewVerificationSerializer(StrictSerializer):
    to = NumberField(help_text="The number to verify, in international notation.")
    template = StrictStringField(
        required=False, allow_null=True, max_length=100, help_text="Omitted: the built-in text."
    )
    code_length = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=one_time_codes.SHORTEST,
        max_value=one_time_codes.LONGEST,
        help_text=f"Digits. Default: {DEFAULT_LENGTH}.",
    )
    ttl = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=SHORTEST_TTL,
        max_value=LONGEST_TTL,
        help_text=f"Seconds until the code expires. Default: {DEFAULT_TTL}.",
    )
    sender = SenderField(
        required=False, allow_null=True, help_text="One of your senders. Omitted: your default sender."
    )
    locale = serializers.RegexField(
        r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}\Z",
        required=False,
        allow_null=True,
        help_text=f"Language of the text. Built in: {', '.join(texts.LOCALES)}. Any other, and the default: en. Of a template "
        "it is its nearest language, or its default one.",
    )
    app_hash = serializers.RegexField(
        rf"^{texts.APP_HASH.pattern}\Z",
        required=False,
        allow_null=True,
        help_text="The 11 characters of an Android app (SMS Retriever), which end the text. Not with `domain`.",
    )
    domain = serializers.RegexField(
        rf"^{texts.DOMAIN.pattern}\Z",
        required=False,
        allow_null=True,
        max_length=100,
        help_text="The domain on which browsers fill in the code (WebOTP): the last line is `@domain #code`.",
    )
    client_address = serializers.IPAddressField(
        required=False,
        allow_null=True,
        help_text="The IP address of the person who asked for the code. It is counted for a limit, and not stored.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("app_hash") and attrs.get("domain"):
            raise serializers.ValidationError(
                {"domain": [serializers.ErrorDetail("Give either `app_hash` or `domain`.", "app_hash_and_domain")]}
            )
        return attrs

    def draft(self) -> VerificationInput:
        """Return the validated request. Requires `is_valid()`."""
        given = {name: value for name, value in self.validated_data.items() if value is not None}
        return VerificationInput(**given)


class VerificationSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(STATUSES)
    to = serializers.CharField()
    expires_at = serializers.DateTimeField()
    sends = serializers.IntegerField(help_text="How often the code was sent.")


class NewCheckSerializer(StrictSerializer):
    code = serializers.RegexField(CODE, trim_whitespace=True, help_text="The digits, as text.")

    def to_internal_value(self, data: Any) -> dict[str, Any]:  # Any: as the base class declares it
        if isinstance(data, dict) and "code" in data and not isinstance(data["code"], str):
            raise serializers.ValidationError({"code": [serializers.ErrorDetail("Give the code as text.", "invalid")]})
        return super().to_internal_value(data)


class VerificationCheckSerializer(serializers.Serializer):
    status = serializers.ChoiceField(STATUSES)
    valid = serializers.BooleanField(help_text="True for the one check that approves the verification.")


def represent(row: Verification) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "status": checks.status_at(row, timezone.now()),
        "to": row.to_number,
        "expires_at": isoformat_utc(row.expires_at),
        "sends": row.sends,
    }


_EXAMPLE = {
    "id": "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55",
    "status": "pending",
    "to": "+14155550101",
    "expires_at": "2026-12-01T09:10:00.123456Z",
    "sends": 1,
}
NEW_EXAMPLES = [
    OpenApiExample("Minimal", value={"to": "+14155550101"}, request_only=True),
    OpenApiExample(
        "For a web page",
        value={
            "to": "+4915112345678",
            "code_length": 6,
            "ttl": 300,
            "locale": "de",
            "domain": "shop.example.com",
            "client_address": "198.51.100.7",
        },
        request_only=True,
    ),
    OpenApiExample("Pending", value=_EXAMPLE, response_only=True, status_codes=["201"]),
]
CHECK_EXAMPLES = [
    OpenApiExample("Code", value={"code": "123456"}, request_only=True),
    OpenApiExample("Right", value={"status": "approved", "valid": True}, response_only=True),
    OpenApiExample("Wrong", value={"status": "pending", "valid": False}, response_only=True),
]


class VerificationViewSet(viewsets.GenericViewSet):
    queryset = Verification.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = VerificationSerializer
    filter_backends = []
    lookup_value_converter = "uuid"
    without_body = frozenset({"cancel"})
    action_permissions = {
        "create": "messaging.add_verification",
        "retrieve": VIEW,
        "check": "messaging.change_verification",
        "cancel": "messaging.change_verification",
    }

    def get_queryset(self) -> QuerySet[Verification]:
        return Verification.objects.filter(owned_by(user_of(self.request), VIEW))

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=NewVerificationSerializer,
        responses={201: VerificationSerializer},
        examples=NEW_EXAMPLES,
    )
    def create(self, request: Request) -> Response:
        serializer = NewVerificationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key")
        headers: dict[str, str] = {}
        if key is None:
            body = _start(request, serializer.draft())
        else:
            body, is_replay = idempotency.once(
                owner=user_of(request),
                key=idempotency.check_key(key),
                request_fingerprints=idempotency.fingerprints(request.path, request.data),
                now=timezone.now(),
                operation=lambda: _start(request, serializer.draft()),
            )
            headers = {REPLAY_HEADER: "true"} if is_replay else {}
        headers["Location"] = request.build_absolute_uri(f"{request.path.rstrip('/')}/{body['id']}/")
        return Response(body, status=201, headers=headers)

    @extend_schema(responses=VerificationSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        return Response(represent(self.get_object()))

    @extend_schema(request=NewCheckSerializer, responses=VerificationCheckSerializer, examples=CHECK_EXAMPLES)
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: UUID) -> Response:
        serializer = NewCheckSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row, code = self.get_object(), serializer.validated_data["code"]
        try:
            found = checks.check(verification_id=row.pk, code=code, now=timezone.now())
        except Verification.DoesNotExist:  # erased a moment ago
            raise Http404 from None
        return Response({"status": found.verification.status, "valid": found.is_valid})

    @extend_schema(request=None, responses=VerificationSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        row = self.get_object()
        try:
            return Response(represent(checks.cancel(verification_id=row.pk, now=timezone.now())))
        except Verification.DoesNotExist:
            raise Http404 from None


def _start(request: Request, draft: VerificationInput) -> dict[str, Any]:
    started = start(owner=user_of(request), draft=draft, default_queue=settings.DEFAULT_QUEUE, now=timezone.now())
    log_context.log_accepted([started.message.pk])
    if started.message.status == MessageStatus.QUEUED and started.message.queue_id:
        transaction.on_commit(partial(notifier.notify_queue, started.message.queue_id))
    return represent(started.verification)
