"""Read the webhooks of Alertmanager and Grafana. Both have the same form; Grafana's has more fields."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from messaging.services.alerts.groups import FIRING, RESOLVED, Alert, AlertGroup
from messaging.services.errors import InvalidField

MAX_ALERTS, MAX_OMITTED = 10_000, 1_000_000
UNNAMED = "alert"


def read_group(data: Mapping[str, Any]) -> AlertGroup:
    """Raises `InvalidField`, for what is no webhook of these systems."""
    alerts = data.get("alerts")
    if not isinstance(alerts, list) or not alerts or not all(isinstance(each, dict) for each in alerts):
        raise InvalidField("alerts", "required", "The webhook has no list of alerts.")
    common, status = _strings(data.get("commonLabels")), _status(data.get("status") or data.get("state"))
    # A storm is never refused. What is firing comes first, so that none of it is left out for what has ended.
    read = [_alert(each, common, status) for each in alerts]
    if len(read) > MAX_ALERTS:
        read.sort(key=lambda alert: alert.status == RESOLVED)
    return AlertGroup(
        key=_key(data),
        status=status,
        alerts=tuple(read[:MAX_ALERTS]),
        omitted=_count(data.get("truncatedAlerts")) + sum(alert.status == status for alert in read[MAX_ALERTS:]),
        group_labels=_strings(data.get("groupLabels")),
        common_labels=common,
        common_annotations=_strings(data.get("commonAnnotations")),
        receiver=_string(data.get("receiver")),
        title=_string(data.get("title")),
        message=_string(data.get("message")),
    )


def _key(data: Mapping[str, Any]) -> str:
    """Of a group within an installation: each organisation of a Grafana has groups of its own."""
    return json.dumps([_string(data.get("groupKey")), _count(data.get("orgId")), _strings(data.get("groupLabels"))])


def _alert(data: Mapping[str, Any], common: Mapping[str, str], group_status: str) -> Alert:
    labels = _strings(data.get("labels"))
    return Alert(
        status=_status(data.get("status") or group_status),
        name=labels.get("alertname") or common.get("alertname") or UNNAMED,
        starts_at=_string(data.get("startsAt")),
        fingerprint=_string(data.get("fingerprint")) or _fingerprint(labels),
        labels=labels,
        annotations=_strings(data.get("annotations")),
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()


def _status(value: object) -> str:
    return RESOLVED if value in (RESOLVED, "ok") else FIRING


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: object) -> dict[str, str]:
    return {key: each for key, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return min(max(value, 0), MAX_OMITTED) if isinstance(value, int) and not isinstance(value, bool) else 0
