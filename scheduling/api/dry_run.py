"""The response of POST /schedules/?dry_run=true."""

from typing import Any

from rest_framework import serializers

from messaging.services.outbound.dry_run import CheckVerdict
from scheduling.api.serializers import PreviewSerializer, serialize_outlook
from scheduling.services.dry_run import ScheduleDryRun


class RecipientRefusalSerializer(serializers.Serializer):
    code = serializers.CharField()
    verdict = serializers.ChoiceField([each.value for each in CheckVerdict])
    detail = serializers.CharField()
    count = serializers.IntegerField(help_text="Recipients.")


class ScheduleDryRunSerializer(PreviewSerializer):
    """As `preview`, before the schedule exists. `messages` and `total_segments` leave out who would get none."""

    queue = serializers.CharField()
    refusals = RecipientRefusalSerializer(
        many=True, help_text="Who would get none, or wait, if the first run were now."
    )


def serialize_dry_run(found: ScheduleDryRun) -> dict[str, Any]:
    schedule = found.schedule
    return {
        **serialize_outlook(schedule, found.outlook),
        "queue": schedule.queue_id,
        "messages": [
            {"to": each.to, "message": each.text, "encoding": each.encoding, "segments": each.segments}
            for each in found.sample
        ],
        "recipients": schedule.recipient_count,
        "total_segments": found.total_segments,
        "refusals": [
            {"code": each.code, "verdict": str(each.verdict), "detail": each.detail, "count": each.count}
            for each in found.refusals
        ],
    }
