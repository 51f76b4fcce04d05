"""May this text be sent at this hour? By the enabled rules and quiet hours, which each process keeps in memory."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from datetime import time as wall_time
from typing import Any

from django.conf import settings
from django.db.models import CharField, F, IntegerField, Q, Value

from messaging.models import HoursRule, OutboundQueue, OwnerPolicy
from messaging.policy import quiet, zones
from messaging.policy.hours import HELD_CATEGORIES, HORIZON, Opening, Rule, next_open, violation
from messaging.services.snapshots import SnapshotMemory

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


@dataclass(frozen=True, slots=True)
class OwnerHours:
    """What one owner has decided: its quiet hours, and the zone of numbers without one; None or empty if it has not."""

    quiet: Rule | None
    default_zone: str


@dataclass(slots=True)
class Snapshot:
    """The enabled rules and all quiet hours as they were at one time.

    Verdicts are remembered, as many texts are judged in the same minute: hours begin and end with whole minutes.
    """

    rules: tuple[Rule, ...] = ()
    read_at: float = 0.0
    owners: Mapping[int, OwnerHours] = field(default_factory=dict)
    queues: Mapping[str, Rule] = field(default_factory=dict)
    categories: frozenset[str] = field(init=False)
    _by_category: Mapping[str, tuple[Rule, ...]] = field(init=False)
    _holds: dict[tuple[tuple[Hashable, ...], tuple[str, ...], str, datetime], Hold | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.categories = HELD_CATEGORIES & frozenset(word for rule in self.rules for word in rule.categories)
        self._by_category = {
            word: tuple(rule for rule in self.rules if word in rule.categories) for word in self.categories
        }

    def hold(
        self, *, number: str, category: str, at: datetime, owner_id: int | None = None, queue_id: str | None = None
    ) -> Hold | None:
        """Return why a text of this category to this number must wait at this moment; None if it may be sent."""
        owner = self.owners.get(owner_id) if owner_id is not None else None
        own = self._quiet(owner, queue_id) if category in HELD_CATEGORIES else []
        if (not own and category not in self.categories) or at.year > LAST_YEAR:
            return None
        place = zones.location_of(number)
        rules = [
            rule
            for rule in self._by_category.get(category, ())
            if rule.concerns(number=number, country=place.country, category=category)
        ]
        if not rules and not own:
            return None
        default = owner.default_zone if owner is not None else ""
        names = place.zones or (default or settings.POLICY_DEFAULT_TIME_ZONE,)
        at = at.replace(second=0, microsecond=0)
        # Quiet hours of all owners have one id, but not the same hours.
        marks = (*(rule.id for rule in rules), *((rule.id, rule.hours[0]) for rule in own))
        key = (marks, names, category, at)
        try:
            return self._holds[key]
        except KeyError:
            found = _judge([*rules, *own], names, category, at)
        if len(self._holds) >= MAX_REMEMBERED:
            self._holds.clear()
        self._holds[key] = found
        return found  # another thread may have cleared them

    def _quiet(self, owner: OwnerHours | None, queue_id: str | None) -> list[Rule]:
        if owner is None and not self.queues:
            return []
        found = [owner.quiet if owner is not None else None, self.queues.get(queue_id or "")]
        return [rule for rule in found if rule is not None]

    def is_as(self, other: "Snapshot") -> bool:
        return (self.rules, self.owners, self.queues) == (other.rules, other.owners, other.queues)


def _judge(rules: list[Rule], names: tuple[str, ...], category: str, at: datetime) -> Hold | None:
    found = [zones.zone(name) for name in names]
    if violation(rules, found, at) is None:
        return None
    opening = next_open(rules, found, at)
    return None if opening is None else Hold(opening.rule.id, opening.at, _in_words(opening, category))


def _in_words(opening: Opening, category: str) -> str:
    kind = "quiet" if opening.rule.id in quiet.RULE_IDS else category
    hours = f"{kind} hours, rule {opening.rule.id}"
    if opening.at is None:
        return f"Held: within {HORIZON.days} days no moment is allowed in all time zones of the number ({hours})."
    wall = opening.at.astimezone(opening.zone)
    return f"Held until {wall:%H:%M} {opening.zone.key} ({wall.day} {wall:%b}): {hours}."


_Row = tuple[int, str, str, wall_time | None, wall_time | None]


def _quiet_hours() -> tuple[dict[int, OwnerHours], dict[str, Rule]]:
    """Of the owners and the queues that have any, with one query."""
    columns = ("of_owner", "of_queue", "zone", "quiet_from", "quiet_until")
    nothing: Any = Value("", output_field=CharField())
    owners = OwnerPolicy.objects.filter(Q(quiet_from__isnull=False) | ~Q(default_time_zone="")).order_by()
    queues = OutboundQueue.objects.filter(quiet_from__isnull=False).order_by()
    rows: list[_Row] = list(
        owners.annotate(of_owner=F("owner_id"), of_queue=nothing, zone=F("default_time_zone"))
        .values_list(*columns)
        .union(
            queues.annotate(
                of_owner=Value(0, output_field=IntegerField()), of_queue=F("name"), zone=nothing
            ).values_list(*columns),
            all=True,
        )
    )
    return (
        {owner: OwnerHours(_rule(quiet.OWNER_RULE, *span), zone) for owner, queue, zone, *span in rows if not queue},
        {queue: rule for _, queue, _, *span in rows if queue and (rule := _rule(quiet.QUEUE_RULE, *span)) is not None},
    )


def _rule(rule_id: str, quiet_from: wall_time | None, quiet_until: wall_time | None) -> Rule | None:
    if quiet_from is None or quiet_until is None:
        return None
    return quiet.rule_of(rule_id, quiet_from, quiet_until)


def _read(last: Snapshot) -> Snapshot:
    """Two queries. Verdicts stay as long as the rules do."""
    rules = tuple(row.as_rule() for row in HoursRule.objects.filter(is_enabled=True))
    owners, queues = _quiet_hours()
    found = Snapshot(rules, owners=owners, queues=queues)
    return last if last.is_as(found) else found


_memory = SnapshotMemory(Snapshot(), _read, seconds=lambda: REFRESH_SECONDS)
current = _memory.fresh
"""The rules, read again if they are older than `REFRESH_SECONDS`: two queries."""
read = _memory.read
"""The rules as they are now: two queries."""
last_known = _memory.last
"""The rules that this process used last; no query."""
expire = _memory.expire
use = _memory.use
