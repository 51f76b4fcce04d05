"""Dates that a schedule leaves out or adds beside its rule, as naive wall times in its zone; a `date` is a whole day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from scheduling import holiday_calendar
from scheduling.recurrence_lines import InvalidRecurrence, WrittenDate
from scheduling.wall_time import UnknownZone, to_utc, zone_of_any_case

EXDATE, RDATE = "EXDATE", "RDATE"


@dataclass(frozen=True, slots=True)
class Dates:
    """What is left out and added, without fractions of a second, and the code of a holiday calendar or "".

    An added date runs on a holiday, too; a date that is left out never runs.
    """

    left_out: frozenset[date | datetime] = frozenset()
    added: tuple[datetime, ...] = ()
    holidays: str = ""

    def __bool__(self) -> bool:
        return bool(self.left_out or self.added or self.holidays)


NO_DATES = Dates()


def resolve(
    left_out: Iterable[WrittenDate], added: Iterable[WrittenDate], *, start: datetime, tz: ZoneInfo
) -> tuple[frozenset[date | datetime], tuple[datetime, ...]]:
    """Return EXDATE and RDATE as wall times in `tz`; a whole day in RDATE is that day at the start's time of day.

    Times in other zones are converted. Raises `InvalidRecurrence`, also for an RDATE before `start`.
    """
    start = start.replace(microsecond=0)
    out = frozenset(_in_zone(EXDATE, written, tz) for written in left_out)
    walls = {
        wall if isinstance(wall, datetime) else datetime.combine(wall, start.time())
        for wall in (_in_zone(RDATE, written, tz) for written in added)
    }
    if early := [wall for wall in walls if wall < start]:
        raise InvalidRecurrence(f"RDATE {min(early):%Y-%m-%d %H:%M} is before run_at, the first run.")
    return out, tuple(sorted(walls))


def _in_zone(name: str, written: WrittenDate, tz: ZoneInfo) -> date | datetime:
    value = written.value
    if not isinstance(value, datetime):
        return value
    try:
        source = zone_of_any_case(written.zone) if written.zone else tz
    except UnknownZone as error:
        raise InvalidRecurrence(f"{name}: {error}") from None
    if not written.is_utc and source.key == tz.key:
        return value
    try:
        utc = value.replace(tzinfo=UTC) if written.is_utc else to_utc(value, source)
        wall = utc.astimezone(tz).replace(tzinfo=None, fold=0)
    except OverflowError:
        raise InvalidRecurrence(f"{name} {value.date()} is out of range.") from None
    if name == RDATE and to_utc(wall, tz) != utc:
        raise InvalidRecurrence(
            f"RDATE {value:%Y-%m-%d %H:%M} is in the second of two equal hours in {tz.key}; a schedule runs in the first."
        )
    return wall


def stored(dates: Iterable[date | datetime]) -> str:
    """Return dates as they are stored: ISO 8601, in order, with blanks between."""
    return " ".join(sorted(each.isoformat() for each in dates))


def read(text: str) -> list[date | datetime]:
    """Return stored dates."""
    return [datetime.fromisoformat(each) if "T" in each else date.fromisoformat(each) for each in text.split()]


def lines(dates: Dates, tz: ZoneInfo | None, *, in_utc: bool = False) -> list[str]:
    """Return the EXDATE and RDATE lines. Times have the zone's name, Z in UTC or with `in_utc`, or nothing without `tz`."""
    days = sorted(each for each in dates.left_out if not isinstance(each, datetime))
    times = sorted(each for each in dates.left_out if isinstance(each, datetime))
    found = [f"{EXDATE};VALUE=DATE:{','.join(map(_basic, days))}"] if days else []
    for name, walls in ((EXDATE, times), (RDATE, dates.added)):
        if walls and tz is not None and (in_utc or tz.key == "UTC"):
            found.append(f"{name}:{','.join(f'{_basic(to_utc(wall, tz).replace(tzinfo=None))}Z' for wall in walls)}")
        elif walls:
            found.append(f"{name}{f';TZID={tz.key}' if tz else ''}:{','.join(map(_basic, walls))}")
    return found


def _basic(value: date | datetime) -> str:
    return value.isoformat().replace("-", "").replace(":", "")


class LeftOut:
    """Says for each occurrence why it is left out. `matched` has the dates that left out any."""

    def __init__(self, dates: Dates, tz: ZoneInfo) -> None:
        self._holidays = dates.holidays
        self._days = {each for each in dates.left_out if not isinstance(each, datetime)}
        self._walls = {each for each in dates.left_out if isinstance(each, datetime)}
        # Two wall times are one moment where clocks skip an hour.
        self._moments = {to_utc(wall, tz): wall for wall in self._walls}
        self.matched: set[date | datetime] = set()

    def by_day(self, wall: datetime) -> tuple[str, str] | None:
        """Return (`exdate` or `holiday`, the holiday's name) if the whole day is left out."""
        day = wall.date()
        if day in self._days:
            self.matched.add(day)
            return "exdate", ""
        name = holiday_calendar.name_on(self._holidays, day) if self._holidays else ""
        return ("holiday", name) if name else None

    def by_time(self, wall: datetime, utc: datetime) -> bool:
        """Whether this moment is left out. Fractions of a second do not matter."""
        wall, utc = wall.replace(microsecond=0), utc.replace(microsecond=0)
        found = wall if wall in self._walls else self._moments.get(utc)
        if found is not None:
            self.matched.add(found)
        return found is not None

    def by_date(self, wall: datetime, utc: datetime) -> bool:
        """Whether an EXDATE leaves this out, whatever the holidays are."""
        return self.by_day(wall) == (EXDATE.lower(), "") or self.by_time(wall, utc)
