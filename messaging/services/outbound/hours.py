"""May this text be sent at this hour? By the enabled rules, which each process keeps in memory."""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from messaging.models import HoursRule
from messaging.policy import zones
from messaging.policy.hours import HELD_CATEGORIES, HORIZON, Opening, Rule, next_open, violation

# The rules are read again when they are older, so that a change takes effect everywhere within this time.
REFRESH_SECONDS = 2.0
# A moment so late is not computed with: its next day may not exist.
LAST_YEAR = 9998
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Hold:
    """A text must wait. `until` is None if no moment is allowed within the horizon; `detail` says why, to users."""

    rule_id: str
    until: datetime | None
    detail: str


@dataclass(slots=True)
class Snapshot:
    """The enabled rules as they were at one time. Verdicts are remembered, as many texts are judged at the same moment."""

    rules: tuple[Rule, ...] = ()
    read_at: float = 0.0
    categories: frozenset[str] = field(init=False)
    _holds: dict[tuple[tuple[str, ...], tuple[str, ...], str, datetime], Hold | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.categories = HELD_CATEGORIES & frozenset(word for rule in self.rules for word in rule.categories)

    def hold(self, *, number: str, category: str, at: datetime) -> Hold | None:
        """Return why a text of this category to this number must wait at this moment; None if it may be sent."""
        if category not in self.categories or at.year > LAST_YEAR:
            return None
        place = zones.location_of(number)
        rules = [rule for rule in self.rules if rule.concerns(number=number, country=place.country, category=category)]
        if not rules:
            return None
        names = place.zones or (settings.POLICY_DEFAULT_TIME_ZONE,)
        key = (tuple(rule.id for rule in rules), names, category, at)
        try:
            return self._holds[key]
        except KeyError:
            found = _judge(rules, names, category, at)
        if len(self._holds) >= MAX_REMEMBERED:
            self._holds.clear()
        self._holds[key] = found
        return found  # another thread may have cleared them


def _judge(rules: list[Rule], names: tuple[str, ...], category: str, at: datetime) -> Hold | None:
    found = [zones.zone(name) for name in names]
    if violation(rules, found, at) is None:
        return None
    opening = next_open(rules, found, at)
    return None if opening is None else Hold(opening.rule.id, opening.at, _in_words(opening, category))


def _in_words(opening: Opening, category: str) -> str:
    hours = f"{category} hours, rule {opening.rule.id}"
    if opening.at is None:
        return f"Held: within {HORIZON.days} days no moment is allowed in all time zones of the number ({hours})."
    wall = opening.at.astimezone(opening.zone)
    return f"Held until {wall:%H:%M} {opening.zone.key} ({wall.day} {wall:%b}): {hours}."


class _Memory:
    """The last snapshot of this process. Two threads that read at once read the same."""

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self._lock = threading.Lock()

    def fresh(self) -> Snapshot:
        snapshot = self._snapshot
        if snapshot.read_at and time.monotonic() - snapshot.read_at < REFRESH_SECONDS:
            return snapshot
        return self.read()

    def read(self) -> Snapshot:
        rules = tuple(row.as_rule() for row in HoursRule.objects.filter(is_enabled=True))
        with self._lock:
            # Verdicts stay as long as the rules do.
            kept = self._snapshot if self._snapshot.rules == rules else Snapshot(rules)
            kept.read_at = time.monotonic()
            self._snapshot = kept
        return kept

    def last(self) -> Snapshot:
        return self._snapshot

    def expire(self) -> None:
        """Read the rules again when they are needed next."""
        self._snapshot.read_at = 0.0

    def use(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot


_memory = _Memory()
current = _memory.fresh
"""The rules, read again if they are older than `REFRESH_SECONDS`: one query."""
read = _memory.read
"""The rules as they are now: one query."""
last_known = _memory.last
"""The rules that this process used last; no query."""
expire = _memory.expire
use = _memory.use
