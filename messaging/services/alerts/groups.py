"""What a monitoring system reports in one webhook: a group of alerts, whichever system it comes from."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FIRING, RESOLVED = "firing", "resolved"
MAX_NAME, MOST_NAMES = 100, 50
OTHERS = "others"
NO_START = "0001-"  # Go's time without a value

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def clean(value: str, limit: int) -> str:
    """One line of text. Control characters and halves of surrogate pairs become blanks."""
    return " ".join(_CONTROL.sub(" ", value[: 4 * limit]).split())[:limit]


@dataclass(frozen=True, slots=True)
class Alert:
    """`starts_at` is as the system writes it; it only tells one occurrence from the next."""

    status: str
    name: str
    starts_at: str = ""
    fingerprint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """A system that sends no fingerprint is known by its labels."""
        return self.fingerprint or json.dumps(self.labels, sort_keys=True), self.status, self.starts_at


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """`omitted` alerts were left out by the sender. `title` and `message` are Grafana's own texts."""

    key: str
    status: str
    alerts: tuple[Alert, ...]
    omitted: int = 0
    group_labels: Mapping[str, str] = field(default_factory=dict)
    common_labels: Mapping[str, str] = field(default_factory=dict)
    common_annotations: Mapping[str, str] = field(default_factory=dict)
    receiver: str = ""
    title: str = ""
    message: str = ""

    @property
    def identity(self) -> str:
        """Equal for two notices about the same group, alerts, states and starts, in whatever order the alerts are."""
        digest = hashlib.sha256()
        for part in (self.key, self.status, str(self.omitted)):
            digest.update(json.dumps(part).encode() + b"\n")
        for alert in sorted(alert.identity for alert in self.alerts):
            digest.update(json.dumps(alert).encode() + b"\n")
        return digest.hexdigest()

    @property
    def tells_occurrences_apart(self) -> bool:
        """Whether each alert says when it began. Without that, its next occurrence has the same identity."""
        return not any(alert.starts_at.startswith(NO_START) or not alert.starts_at for alert in self.alerts)

    @property
    def counts(self) -> dict[str, int]:
        """How many alerts have each name. Those that the sender left out, and beyond `MOST_NAMES` names, are `OTHERS`."""
        named = Counter(_counted_name(alert) for alert in self.alerts)
        counts = Counter(dict(named.most_common(MOST_NAMES)))
        others = named.total() - counts.total() + self.omitted
        return dict(counts + Counter({OTHERS: others}))

    def without_resolved(self) -> "AlertGroup":
        return replace(self, alerts=tuple(alert for alert in self.alerts if alert.status != RESOLVED))


def _counted_name(alert: Alert) -> str:
    name = clean(alert.name, MAX_NAME) or "alert"
    return name if alert.status == FIRING else f"{name} {clean(alert.status, MAX_NAME)}"
