"""Shapes that go in and out. What goes out is built by plain functions; the serializers beside them are its schema."""

from typing import Any

from rest_framework import serializers

from messaging import states
from messaging.api.fields import (
    CallbackUrlField,
    MomentField,
    NumberField,
    StrictIntegerField,
    StrictStringField,
    TextField,
    moment,
)
from messaging.models import DeliveryAttempt, Message, MessageEvent, PhoneNumber
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.segments import Encoding
from messaging.services.submit import Draft

MAX_BATCH = 1000
DEFAULT_VALID_FOR = 14_400
MAX_VALID_FOR = 604_800

STATUS_CHOICES = sorted(states.OUTBOUND | states.INBOUND)


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class NewMessageSerializer(serializers.Serializer):
    to = NumberField(help_text="The recipient in international notation; stored as E.164.")
    message = TextField(max_length=MAX_INBOUND_CHARACTERS, help_text="The text; at most ten segments.")
    queue = StrictStringField(required=False, allow_null=True, max_length=40, help_text="Default: `express`.")
    send_at = MomentField(required=False, allow_null=True, help_text="A time in the future makes it `scheduled`.")
    valid_for = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_VALID_FOR,
        default=DEFAULT_VALID_FOR,
        help_text="Seconds from when it is due.",
    )
    reference = StrictStringField(required=False, allow_null=True, allow_blank=True, max_length=100)
    media = serializers.ListField(child=serializers.UUIDField(), required=False, allow_null=True, max_length=10)
    callback_url = CallbackUrlField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # `from` is a keyword, so it cannot be declared in the class body.
        fields["from"] = NumberField(required=False, allow_null=True, help_text="One of your sender numbers.")
        return fields

    def validate_media(self, assets: list | None) -> list:
        if assets:
            raise serializers.ValidationError("There is no such media asset.", code="unknown_asset")
        return []

    def draft(self) -> Draft:
        """The validated request; only after `is_valid()`."""
        return draft_of(self.validated_data)


def draft_of(data: dict[str, Any]) -> Draft:
    return Draft(
        to=data["to"],
        text=data["message"],
        valid_for=DEFAULT_VALID_FOR if data["valid_for"] is None else data["valid_for"],
        sender=data.get("from"),
        queue=data.get("queue"),
        send_at=data.get("send_at"),
        reference=data.get("reference") or "",
        callback_url=data.get("callback_url") or "",
    )


class NewBatchSerializer(serializers.Serializer):
    """For the schema, and for the envelope; the items are checked one by one, so that bad ones do not stop good ones."""

    messages = serializers.ListField(child=NewMessageSerializer(), min_length=1, max_length=MAX_BATCH)


class BatchEnvelopeSerializer(serializers.Serializer):
    messages = serializers.ListField(child=serializers.JSONField(allow_null=True), min_length=1, max_length=MAX_BATCH)


class FieldErrorSerializer(serializers.Serializer):
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class BatchErrorSerializer(ErrorSerializer):
    errors = FieldErrorSerializer(many=True, required=False)


class BatchResultSerializer(serializers.Serializer):
    index = serializers.IntegerField()
    id = serializers.UUIDField(required=False)
    error = BatchErrorSerializer(required=False)


class BatchAnswerSerializer(serializers.Serializer):
    accepted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = BatchResultSerializer(many=True)


class MessageSerializer(serializers.Serializer):
    """The message as it goes out; `message_body` builds it."""

    id = serializers.UUIDField()
    direction = serializers.ChoiceField([d.value for d in states.Direction])
    to = serializers.CharField()
    message = serializers.CharField()
    status = serializers.ChoiceField(STATUS_CHOICES)
    queue = serializers.CharField(allow_null=True)
    encoding = serializers.ChoiceField([e.value for e in Encoding])
    segments = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True)
    provider = serializers.CharField(allow_null=True)
    provider_message_id = serializers.CharField(allow_null=True)
    attempts = serializers.IntegerField()
    error = ErrorSerializer(allow_null=True)
    schedule = serializers.UUIDField(allow_null=True)
    media = serializers.ListField(child=serializers.UUIDField())
    send_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField(required=False, help_text="Inbound messages only.")
    sent_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.CharField(allow_null=True)
        return fields

    def to_representation(self, instance: Message) -> dict[str, Any]:
        return message_body(instance)


def message_body(message: Message) -> dict[str, Any]:
    body = {
        "id": str(message.pk),
        "direction": message.direction,
        "from": message.from_number or None,
        "to": message.to_number,
        "message": message.text,
        "status": str(message.status),
        "queue": message.queue_id,
        "encoding": str(message.encoding),
        "segments": message.segments,
        "reference": message.reference or None,
        "provider": message.provider_id,
        "provider_message_id": message.provider_message_id or None,
        "attempts": message.attempts,
        "error": error_body(message.error_code, message.error_detail),
        "schedule": str(message.schedule_id) if message.schedule_id else None,
        "media": [],
        "send_at": moment(message.send_at),
        "created_at": moment(message.created_at),
        "sent_at": moment(message.sent_at),
        "delivered_at": moment(message.delivered_at),
        "updated_at": moment(message.updated_at),
    }
    if message.direction == states.Direction.INBOUND:
        body["received_at"] = moment(message.received_at)
    return body


def error_body(code: str, detail: str) -> dict[str, str] | None:
    return {"code": code, "detail": detail} if code else None


class EventSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    to = serializers.CharField()
    source = serializers.ChoiceField([s.value for s in states.Source])
    provider = serializers.CharField(allow_null=True)
    detail = serializers.CharField(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.CharField(allow_null=True)
        return fields

    def to_representation(self, instance: MessageEvent) -> dict[str, Any]:
        return {
            "at": moment(instance.at),
            "from": instance.from_status or None,
            "to": instance.to_status,
            "source": instance.source,
            "provider": instance.provider_slug or None,
            "detail": instance.detail or None,
        }


class AttemptSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    provider = serializers.CharField()
    outcome = serializers.ChoiceField(DeliveryAttempt.Outcome.values)
    error = ErrorSerializer(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: DeliveryAttempt) -> dict[str, Any]:
        return {
            "number": instance.number,
            "provider": instance.provider_id,
            "outcome": instance.outcome,
            "error": error_body(instance.error_code, instance.error_detail),
            "latency_ms": instance.latency_ms,
            "started_at": moment(instance.started_at),
            "finished_at": moment(instance.finished_at),
        }


class ReasonSerializer(serializers.Serializer):
    reason = TextField(max_length=200, help_text="Stands in the history.")


class PhoneNumberSerializer(serializers.Serializer):
    number = serializers.CharField()
    status = serializers.ChoiceField(PhoneNumber.Status.values)
    reason = serializers.CharField(allow_null=True)
    changed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: PhoneNumber) -> dict[str, Any]:
        return {
            "number": instance.number,
            "status": instance.status,
            "reason": instance.reason or None,
            "changed_at": moment(instance.changed_at),
            "created_at": moment(instance.created_at),
        }


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
