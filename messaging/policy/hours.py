"""Hours in which texts may be sent: which rules concern a text, whether they allow a moment, and the next one they allow.

A rule allows a moment if the clock on the wall in the recipient's time zone is within its hours. A moment has to be allowed by
all rules in all zones of the number. On the night when the clock is set back an hour comes twice, and both count; on the night
when it is set forward the missing hour never comes, and hours that begin in it begin when it is over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from messaging.categories import Category
from messaging.policy import calendars

# The code of the check in `eligibility`, and of a message that is held.
OUTSIDE_HOURS = "outside_hours"
# The detail of such a message once it is ready.
HOURS_HAVE_BEGUN = "It was held, and may be sent now."
# Messages of the others go at any hour, whatever a rule says.
HELD_CATEGORIES = frozenset({Category.MARKETING.value, Category.TRANSACTIONAL.value})
MINUTES_OF_DAY = 1440
HORIZON = timedelta(days=21)
WEEK = 7

# Minutes after midnight: from the first until just before the second.
Span = tuple[int, int]
Day = tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`hours` are of the seven days, Monday first; a day without any is closed, and so is a holiday of the calendar `holidays`.

    It is for numbers of its `countries`, and those that begin with one of its `prefixes`; for all numbers if it has neither.
    It holds from the first to the last of its days, both included, as the recipient's calendar has them.
    """

    id: str
    name: str
    categories: frozenset[str]
    hours: tuple[Day, ...]
    countries: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    holidays: str = ""
    effective_from: date | None = None
    effective_until: date | None = None
    source: str = ""

    def concerns(self, *, number: str, country: str, category: str) -> bool:
        if category not in self.categories or category not in HELD_CATEGORIES:
            return False
        is_for_all = not self.countries and not self.prefixes
        return is_for_all or country in self.countries or number.startswith(self.prefixes)

    def allows(self, wall: datetime) -> bool:
        """`wall` is a time in a zone of the recipient."""
        day = wall.date()
        if not self.is_in_force(day):
            return True
        minute = wall.hour * 60 + wall.minute
        return any(opens <= minute < closes for opens, closes in self.spans_of(day))

    def is_in_force(self, day: date) -> bool:
        return (self.effective_from is None or self.effective_from <= day) and (
            self.effective_until is None or day <= self.effective_until
        )

    def spans_of(self, day: date) -> Day:
        spans = self.hours[day.weekday()]
        return () if spans and self.holidays and calendars.is_holiday(self.holidays, day) else spans


@dataclass(frozen=True, slots=True)
class Opening:
    """The first moment that is allowed, and the rule and zone that were the last to allow it. `at` is None without one."""

    at: datetime | None
    rule: Rule
    zone: ZoneInfo


def violation(rules: Iterable[Rule], zones: Sequence[ZoneInfo], moment: datetime) -> tuple[Rule, ZoneInfo] | None:
    """The first rule and zone that do not allow the moment."""
    walls = [(zone, moment.astimezone(zone)) for zone in zones]
    return next(((rule, zone) for rule in rules for zone, wall in walls if not rule.allows(wall)), None)


def next_open(rules: Sequence[Rule], zones: Sequence[ZoneInfo], now: datetime) -> Opening | None:
    """The first moment from now on that all rules allow in all zones, within the horizon; None if that is now.

    Each step goes to the latest of the first moments that one rule allows in one zone: before it nothing can be allowed.
    """
    moment, last = now, None
    while True:
        later = [(_first_allowed(rule, zone, moment), rule, zone) for rule in rules for zone in zones]
        missing = next(((rule, zone) for at, rule, zone in later if at is None), None)
        if missing is not None:
            return Opening(None, *missing)
        at, rule, zone = max(
            ((at, rule, zone) for at, rule, zone in later if at is not None),
            key=lambda each: each[0],
            default=(moment, None, None),
        )
        if at == moment or rule is None or zone is None:
            return last
        if at > now + HORIZON:
            return Opening(None, rule, zone)
        moment, last = at, Opening(at, rule, zone)


def _first_allowed(rule: Rule, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """The first moment from this one on that the rule allows in this zone."""
    wall = moment.astimezone(zone)
    if rule.allows(wall):
        return moment
    for ahead in range(HORIZON.days + 1):
        found = [
            at
            for at in _beginnings(rule, zone, wall.date() + timedelta(days=ahead))
            if at >= moment and rule.allows(at.astimezone(zone))
        ]
        if found:
            return min(found)
    return None


def _beginnings(rule: Rule, zone: ZoneInfo, day: date) -> set[datetime]:
    """All moments of the day at which its hours may begin: as written, at midnight, and when the clock is changed."""
    minutes = {0, *(opens for opens, _ in rule.spans_of(day))}
    found = {_at(zone, day, minute, fold) for minute in minutes for fold in (0, 1)}
    start, end = _at(zone, day, 0, 0), _at(zone, day, MINUTES_OF_DAY, 1)
    if start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
        found.add(_change_of_clock(zone, start, end))
    return found


def _at(zone: ZoneInfo, day: date, minute: int, fold: int) -> datetime:
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _change_of_clock(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """Bisect for the first whole second with the new offset."""
    before = start.astimezone(zone).utcoffset()
    near, far = 0, int((end - start).total_seconds())
    while far - near > 1:
        middle = (near + far) // 2
        if (start + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before:
            near = middle
        else:
            far = middle
    return start + timedelta(seconds=far)
