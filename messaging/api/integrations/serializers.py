"""Bodies of the integrations, as the schema describes them. Requests are read by plain functions, which ignore other fields."""

from typing import Any

from rest_framework import serializers

from messaging.services.alerts.notices import NoticeResult


def _label_map() -> serializers.DictField:
    return serializers.DictField(child=serializers.CharField(), required=False)


class AlertSerializer(serializers.Serializer):
    status = serializers.CharField(required=False, help_text="`firing` or `resolved`.")
    labels = _label_map()
    annotations = _label_map()
    startsAt = serializers.CharField(required=False)  # noqa: N815 (the sender's name)
    fingerprint = serializers.CharField(required=False)


class AlertmanagerSerializer(serializers.Serializer):
    groupKey = serializers.CharField(required=False)  # noqa: N815
    status = serializers.CharField(required=False, help_text="`firing` or `resolved`.")
    receiver = serializers.CharField(required=False)
    truncatedAlerts = serializers.IntegerField(required=False)  # noqa: N815
    groupLabels = _label_map()  # noqa: N815
    commonLabels = _label_map()  # noqa: N815
    commonAnnotations = _label_map()  # noqa: N815
    alerts = AlertSerializer(many=True, help_text="Those beyond 10,000 are only counted.")


class GrafanaSerializer(AlertmanagerSerializer):
    orgId = serializers.IntegerField(required=False)  # noqa: N815
    state = serializers.CharField(required=False)
    title = serializers.CharField(required=False)
    message = serializers.CharField(required=False)


class UptimeKumaSerializer(serializers.Serializer):
    to = serializers.CharField(help_text="A number in international notation, or several separated by commas.")
    body = serializers.CharField(help_text="The text. What does not fit in three segments is cut.")


class SupabaseUserSerializer(serializers.Serializer):
    phone = serializers.CharField(required=False, help_text="With or without a plus.")


class SupabaseSmsSerializer(serializers.Serializer):
    otp = serializers.CharField()
    phone = serializers.CharField(required=False, help_text="The number to confirm, if it is not yet the user's.")


class SupabaseMetadataSerializer(serializers.Serializer):
    uuid = serializers.CharField(required=False)


class SupabaseSerializer(serializers.Serializer):
    metadata = SupabaseMetadataSerializer(required=False)
    user = SupabaseUserSerializer(required=False)
    sms = SupabaseSmsSerializer()


class EmptySerializer(serializers.Serializer):
    pass


class NoticeResultSerializer(serializers.Serializer):
    sent = serializers.IntegerField(help_text="How many messages were stored.")
    refused = serializers.IntegerField(help_text="How many recipients get no messages, for example after a STOP.")
    repeated = serializers.BooleanField(help_text="The same notice was taken before.")
    held = serializers.BooleanField(help_text="There are too many: it becomes part of a digest.")
    messages = serializers.ListField(child=serializers.UUIDField())

    def to_representation(self, instance: NoticeResult) -> dict[str, Any]:
        return {
            "sent": len(instance.messages),
            "refused": instance.refused,
            "repeated": instance.is_repeat,
            "held": instance.is_held,
            "messages": [str(message.pk) for message in instance.messages],
        }
