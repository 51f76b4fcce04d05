"""`?dry_run=true` of requests that create something, and its response."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from messaging.categories import Category
from messaging.segments import Encoding
from messaging.services.errors import InvalidField
from messaging.services.outbound.dry_run import CheckVerdict, DryRun
from messaging.services.representation import isoformat_utc

_WORDS = {"true": True, "false": False}
DRY_RUN = OpenApiParameter(
    "dry_run",
    {"type": "string", "enum": list(_WORDS)},
    description="With `true` nothing is stored or sent; the response says what would become of it.",
)


def is_dry_run(request: Request) -> bool:
    """Raises `InvalidField` for a value other than true and false: a text meant as a trial must not go out."""
    given = request.query_params.get(DRY_RUN.name, "false")
    if given not in _WORDS:
        raise InvalidField(DRY_RUN.name, "invalid_choice", "Must be true or false.")
    return _WORDS[given]


class CheckResultSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="As in the `error` of a message that it refuses or holds.")
    verdict = serializers.ChoiceField([each.value for each in CheckVerdict])
    detail = serializers.CharField(
        allow_null=True, help_text="Why the message does not pass, or what was changed so that it does."
    )
    until = serializers.DateTimeField(allow_null=True, help_text="Until when it is held.")


class RouteOptionSerializer(serializers.Serializer):
    provider = serializers.CharField()
    share = serializers.FloatField(help_text="Of such messages now, from 0 to 1.")
    reason = serializers.CharField(allow_null=True, help_text="Why it gets none.")


class DryRunWarningSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class SmartEncodingSerializer(serializers.Serializer):
    segments = serializers.IntegerField(help_text="With smart encoding.")
    saved = serializers.IntegerField(help_text="How many segments it would save; 0 if it is on already.")


class DryRunSerializer(serializers.Serializer):
    """What would become of a message. `held` is not an error: the message would wait, and be sent then."""

    verdict = serializers.ChoiceField([each.value for each in CheckVerdict], help_text="The worst of `checks`.")
    checks = CheckResultSerializer(many=True)
    warnings = DryRunWarningSerializer(many=True, help_text="What is worth a look, although the message is sent.")
    to = serializers.CharField()
    country = serializers.CharField(allow_null=True, help_text="Two letters; null if the number belongs to none.")
    time_zones = serializers.ListField(
        child=serializers.CharField(), help_text="That the number may be in; none if that is not known."
    )
    message = serializers.CharField()
    category = serializers.ChoiceField([each.value for each in Category])
    queue = serializers.CharField()
    encoding = serializers.ChoiceField([each.value for each in Encoding])
    characters = serializers.IntegerField()
    units = serializers.IntegerField(help_text="Septets of `gsm7`, or UTF-16 units of `ucs2`.")
    segments = serializers.IntegerField()
    smart_encoding = SmartEncodingSerializer()
    template = serializers.UUIDField(allow_null=True)
    template_version = serializers.IntegerField(allow_null=True)
    provider = serializers.CharField(allow_null=True, help_text="The account that most such messages go to now.")
    routes = RouteOptionSerializer(many=True)
    price = serializers.CharField(
        allow_null=True, help_text="Of all segments, by the account's prices and in `currency`; null without one."
    )
    currency = serializers.CharField(allow_null=True, help_text="Null: the account's configuration names none.")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # `from` is a keyword, so it cannot be declared in the class body.
        fields["from"] = serializers.CharField(allow_null=True, help_text="Null: the account's own sender.")
        return fields

    def to_representation(self, instance: DryRun) -> dict[str, Any]:
        message = instance.message
        return {
            "verdict": str(instance.verdict),
            "checks": [
                {
                    "code": check.code,
                    "verdict": str(check.verdict),
                    "detail": check.detail or None,
                    "until": isoformat_utc(check.until),
                }
                for check in instance.checks
            ],
            "warnings": [{"code": each.code, "detail": each.detail} for each in instance.warnings],
            "from": message.from_number or None,
            "to": message.to_number,
            "country": instance.country or None,
            "time_zones": list(instance.time_zones),
            "message": message.text,
            "category": str(message.category),
            "queue": message.queue_id,
            "encoding": str(instance.size.encoding),
            "characters": len(message.text),
            "units": instance.size.units,
            "segments": instance.size.segments,
            "smart_encoding": {
                "segments": instance.smart_segments,
                "saved": instance.size.segments - instance.smart_segments,
            },
            "template": str(message.template_id) if message.template_id else None,
            "template_version": message.template_version,
            "provider": instance.provider or None,
            "routes": [
                {"provider": option.slug, "share": round(option.share, 4), "reason": option.reason or None}
                for option in instance.options
            ],
            "price": None if instance.price is None else f"{instance.price.normalize():f}",
            "currency": instance.currency or None,
        }
