"""Request and response bodies. Responses are built by plain functions; their serializers describe them in the schema."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Manager
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from messaging import categories, states
from messaging.api.access import user_of
from messaging.api.fields import (
    BoundedListField,
    CallbackUrlField,
    CategoryField,
    NumberField,
    ParametersField,
    SenderField,
    StrictBooleanField,
    StrictIntegerField,
    StrictStringField,
    TextField,
    UtcDateTimeField,
)
from messaging.api.known_names import StrictSerializer
from messaging.api.template_fields import LanguageField, VariablesField
from messaging.file_errors import FileError
from messaging.models import DeliveryAttempt, Message, MessageEvent, PhoneNumber
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.models.message import MAX_INBOUND_CHARACTERS
from messaging.segments import Encoding
from messaging.services.inbound.incoming import IncomingMessage
from messaging.services.outbound.retry import RetryReport
from messaging.services.outbound.submit import DEFAULT_VALID_FOR, MessageInput, TemplateUse
from messaging.services.outbound.waiting import serialize_for, serialize_list_for
from messaging.services.representation import HIDDEN, isoformat_utc, serialize_error

MAX_BATCH = 1000
MAX_VALID_FOR = 604_800

MASKED = "it belongs to another owner and the caller lacks `messaging.view_text`"
SENDER_HELP = (
    "One of your senders: a number in international notation, a short code, or a name as it is written. "
    "Omitted: your default sender, or else the account's own."
)
ERROR_HELP = (
    "Why the last attempt failed or why the message was not delivered. For a `queued` message: what it waits for and until "
    "when, as of this response: `waiting_for_message` (an older message to the same number, named in `detail`), "
    "`waiting_for_provider`, `waiting_for_rate`, `waiting_for_pace`, `waiting_for_turn`, `queue_paused`, "
    "`waiting_for_worker`, `waiting_for_beat`, `outside_hours` (a rule of hours holds it). "
    "Responses to POST, events and callbacks contain only the stored error."
)
MEDIA_HELP = (
    "Each file in its order: the id of its media asset, or why it is not kept. Files of an incoming message that are still "
    "being fetched are not in the list; once the message is `stored`, all are."
)
FILE = {
    "oneOf": [
        {"type": "string", "format": "uuid"},
        {
            "type": "object",
            "properties": {
                "error": {"type": "string", "enum": [code.value for code in FileError]},
                "detail": {"type": "string"},
            },
            "required": ["error", "detail"],
        },
    ]
}
STATUS_CHOICES = sorted(states.OUTBOUND | states.INBOUND)


@extend_schema_field(FILE)
class FileField(serializers.Field):
    """A file of a message, as `messaging.services.representation` shows it."""


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class NewMessageSerializer(StrictSerializer):
    to = NumberField(help_text="The recipient in international notation. Stored as E.164.")
    message = TextField(
        required=False,
        max_length=MAX_INBOUND_CHARACTERS,
        help_text="The text, at most 10 segments. Required unless there is a `template`.",
    )
    template = StrictStringField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Instead of `message`: the name or id of a template. Its category and parameters apply unless given here.",
    )
    variables = VariablesField(required=False, allow_null=True, help_text="Values for the template's variables.")
    language = LanguageField(
        required=False,
        allow_null=True,
        help_text="Of the template's text: this one, else its base language, else the default.",
    )
    smart_encoding = StrictBooleanField(
        required=False,
        allow_null=True,
        help_text="Replace typographic characters if the text then fits GSM-7 and becomes no longer. Default: as the "
        "template, or else `SMART_ENCODING_DEFAULT`, says.",
    )
    queue = StrictStringField(required=False, allow_null=True, max_length=40, help_text="Default: `express`.")
    send_at = UtcDateTimeField(
        needs_time_of_day=True,
        required=False,
        allow_null=True,
        help_text="A time in the future makes the message `scheduled`.",
    )
    valid_for = StrictIntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_VALID_FOR,
        default=DEFAULT_VALID_FOR,
        help_text="Seconds, counted from the time the message is due.",
    )
    reference = StrictStringField(required=False, allow_null=True, allow_blank=True, max_length=100)
    media = BoundedListField(child=serializers.UUIDField(), required=False, allow_null=True, max_length=MAX_ATTACHMENTS)
    callback_url = CallbackUrlField(required=False, allow_null=True)
    category = CategoryField(required=False, allow_null=True)
    parameters = ParametersField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # `from` is a keyword, so it cannot be declared in the class body.
        fields["from"] = SenderField(required=False, allow_null=True, help_text=SENDER_HELP)
        return fields

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Report a missing text together with the errors of other fields."""
        try:
            value: dict[str, Any] = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if isinstance(error.detail, dict) and isinstance(data, dict) and not {"message", "template"} & data.keys():
                missing = {"message": [ErrorDetail("Give a message or a template.", "required")]}
                raise serializers.ValidationError({**error.detail, **missing}) from None
            raise
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require exactly one of `message` and `template`; the others are of a template only."""
        if attrs.get("template"):
            if "message" in attrs:
                error = ErrorDetail("Give either a message or a template.", "message_and_template")
                raise serializers.ValidationError({"template": [error]})
            return attrs
        if "message" not in attrs:
            error = ErrorDetail("Give a message or a template.", "required")
            raise serializers.ValidationError({"message": [error]})
        alone = [name for name in ("variables", "language") if attrs.get(name)]
        if alone:
            error = ErrorDetail("Only a template has this.", "without_template")
            raise serializers.ValidationError({name: [error] for name in alone})
        return attrs

    def validate_media(self, assets: list[UUID] | None) -> tuple[UUID, ...]:
        return tuple(dict.fromkeys(assets or ()))

    def message_input(self) -> MessageInput:
        """Return the validated request. Requires `is_valid()`."""
        return message_input_of(self.validated_data)


def message_input_of(data: dict[str, Any]) -> MessageInput:
    return MessageInput(
        to=data["to"],
        text=data.get("message", ""),
        template=_template_use(data),
        smart_encoding=data.get("smart_encoding"),
        valid_for=DEFAULT_VALID_FOR if data["valid_for"] is None else data["valid_for"],
        sender=data.get("from"),
        queue=data.get("queue"),
        send_at=data.get("send_at"),
        reference=data.get("reference") or "",
        callback_url=data.get("callback_url") or "",
        media=data.get("media") or (),
        category=data.get("category") or categories.Category.TRANSACTIONAL,
        parameters=data.get("parameters") or {},
    )


def _template_use(data: dict[str, Any]) -> TemplateUse | None:
    if not data.get("template"):
        return None
    return TemplateUse(
        reference=data["template"],
        variables=data.get("variables") or {},
        language=data.get("language") or "",
        has_own_category=bool(data.get("category")),
        has_own_parameters=data.get("parameters") is not None,
    )


class NewInboundSerializer(StrictSerializer):
    to = NumberField(help_text="The number that the text was sent to.")
    message = TextField(max_length=MAX_INBOUND_CHARACTERS, help_text="The text, at most 160 characters.")
    media = BoundedListField(child=serializers.UUIDField(), required=False, allow_null=True, max_length=MAX_ATTACHMENTS)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # `from` is a keyword, so it cannot be declared in the class body.
        fields["from"] = NumberField(help_text="The number that the text came from.")
        return fields

    def validate_message(self, text: str) -> str:
        if len(text) > settings.INBOUND_MAX_CHARACTERS:
            raise serializers.ValidationError(
                f"Ensure this field has no more than {settings.INBOUND_MAX_CHARACTERS} characters.", code="max_length"
            )
        return text

    def incoming(self) -> IncomingMessage:
        """Return the validated request. Requires `is_valid()`."""
        data = self.validated_data
        assets = tuple(dict.fromkeys(data.get("media") or ()))
        return IncomingMessage(sender=data["from"], recipient=data["to"], text=data["message"], assets=assets)


class NewBatchSerializer(StrictSerializer):
    """The batch as documented in the schema. `BatchEnvelopeSerializer` parses it, so that each item is validated on its own."""

    messages = BoundedListField(child=NewMessageSerializer(), min_length=1, max_length=MAX_BATCH)


class BatchEnvelopeSerializer(StrictSerializer):
    messages = BoundedListField(min_length=1, max_length=MAX_BATCH)


class FieldErrorSerializer(serializers.Serializer):
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class BatchErrorSerializer(ErrorSerializer):
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]  # DRF removes it from the class


class BatchResultSerializer(serializers.Serializer):
    index = serializers.IntegerField()
    id = serializers.UUIDField(required=False)
    error = BatchErrorSerializer(required=False)


class BatchAnswerSerializer(serializers.Serializer):
    accepted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = BatchResultSerializer(many=True)


class MessageListSerializer(serializers.ListSerializer):
    """Serializes all messages together, so that what they wait for is found in a constant number of queries."""

    def to_representation(self, data: Manager[Message] | Iterable[Message]) -> list[dict[str, Any]]:
        messages = list(data.all() if isinstance(data, Manager) else data)
        return serialize_list_for(user_of(self.context["request"]), messages, now=timezone.now())


class MessageSerializer(serializers.Serializer):
    """A message as shown to the user of the request.

    A text that cannot be decrypted raises `CannotBeOpened` for a single message; in a list it is empty.
    """

    id = serializers.UUIDField()
    direction = serializers.ChoiceField([d.value for d in states.Direction])
    to = serializers.CharField(
        allow_null=True,
        help_text="Null for an inbound message whose provider does not name the number that received it.",
    )
    message = serializers.CharField(help_text=f"The text, or `{HIDDEN}` if {MASKED}.")
    status = serializers.ChoiceField(STATUS_CHOICES)
    queue = serializers.CharField(allow_null=True)
    encoding = serializers.ChoiceField([e.value for e in Encoding])
    segments = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True)
    provider = serializers.CharField(allow_null=True)
    provider_message_id = serializers.CharField(allow_null=True)
    attempts = serializers.IntegerField()
    error = ErrorSerializer(allow_null=True, help_text=ERROR_HELP)
    schedule = serializers.UUIDField(allow_null=True)
    category = serializers.ChoiceField(
        [c.value for c in categories.Category], allow_null=True, help_text="Null for an inbound message."
    )
    parameters = serializers.DictField(child=serializers.CharField(), allow_null=True)
    template = serializers.UUIDField(allow_null=True, help_text="The template that made the text.")
    template_version = serializers.IntegerField(allow_null=True, help_text="Which of its versions was used.")
    media = serializers.ListField(child=FileField(), help_text=MEDIA_HELP)
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
        return serialize_for(user_of(self.context["request"]), instance, now=timezone.now())

    class Meta:
        list_serializer_class = MessageListSerializer


class EventSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    to = serializers.CharField()
    source = serializers.ChoiceField([s.value for s in states.Source])  # type: ignore[assignment]  # DRF removes it
    provider = serializers.CharField(allow_null=True)
    detail = serializers.CharField(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.CharField(allow_null=True)
        return fields

    def to_representation(self, instance: MessageEvent) -> dict[str, Any]:
        return {
            "at": isoformat_utc(instance.at),
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
    price = serializers.CharField(allow_null=True, help_text="Of all segments; null unless accepted at a known price.")
    currency = serializers.CharField(allow_null=True)
    price_source = serializers.ChoiceField(
        DeliveryAttempt.PriceSource.values,
        allow_null=True,
        help_text="`configured`: the account's price. `provider`: the carrier's own.",
    )
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: DeliveryAttempt) -> dict[str, Any]:
        return {
            "number": instance.number,
            "provider": instance.provider_id,
            "outcome": instance.outcome,
            "error": serialize_error(instance.error_code, instance.error_detail),
            "latency_ms": instance.latency_ms,
            "price": None if instance.price is None else f"{instance.price.normalize():f}",
            "currency": instance.currency or None,
            "price_source": instance.price_source or None,
            "started_at": isoformat_utc(instance.started_at),
            "finished_at": isoformat_utc(instance.finished_at),
        }


class ReasonSerializer(StrictSerializer):
    reason = TextField(max_length=200, help_text="Recorded in the history.")


class OptionalReasonSerializer(StrictSerializer):
    reason = TextField(
        max_length=200, required=False, allow_null=True, allow_blank=True, help_text="Recorded in the history."
    )


class RefusalCountSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()
    count = serializers.IntegerField()


class RetryReportSerializer(serializers.Serializer):
    changed = serializers.IntegerField(help_text="Number of messages that were queued again.")
    refused = RefusalCountSerializer(many=True)
    more = serializers.BooleanField(help_text="True if matching messages are left for another call.")


def serialize_retry_report(report: RetryReport) -> dict[str, Any]:
    refused = [
        {"code": code, "detail": detail, "count": count} for (code, detail), count in sorted(report.refused.items())
    ]
    return {"changed": report.changed, "refused": refused, "more": report.more}


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
            "changed_at": isoformat_utc(instance.changed_at),
            "created_at": isoformat_utc(instance.created_at),
        }


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
