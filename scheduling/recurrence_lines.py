"""The lines of a recurrence as calendar programs write them: RRULE, DTSTART, EXDATE and RDATE.

Folded lines, blanks beside separators, a `;` at either end of a rule, BYSECOND=0, and several EXDATE and RDATE lines with times
or whole days are taken. Zones are not resolved here: `recurrence_dates` turns dates into wall times of the schedule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

MAX_LENGTH = 500  # of the rule
MAX_DATES = 1_000  # of all EXDATE and RDATE lines together
MAX_TEXT = 65_536  # room for as many dates, each on a line with its zone
PREFIX = "RRULE:"

_FOLD = re.compile(r"\r?\n[ \t]")
# Without the lookbehind, a long run of blanks would be tried from each of them: seconds for one text.
_BLANKS = re.compile(r"(?:(?<![ \t])[ \t]+)?([;,=:])[ \t]*")
_START = re.compile(
    r"DTSTART(?:;VALUE=DATE-TIME)?(?:;TZID=(?P<zone>[A-Z0-9_+/. -]{1,64}))?(?:;VALUE=DATE-TIME)?"
    r":(?P<wall>\d{8}T\d{6})(?P<utc>Z?)",
    re.ASCII,
)
_DATE_LINE = re.compile(r"(?P<name>EXDATE|RDATE)(?P<parameters>(?:;[^:]*)?):(?P<values>.*)", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"\d{8}", re.ASCII)
_TIME = re.compile(r"(\d{8}T\d{6})(Z?)", re.ASCII)
# Known to people who write calendars, and what is said about each.
NOT_SUPPORTED: Mapping[str, str] = {
    "SKIP": "SKIP (RFC 7529) is not supported; a day that a month does not have is left out.",
    "RSCALE": "RSCALE (RFC 7529) is not supported; rules are in the Gregorian calendar.",
    "BYEASTER": "BYEASTER is not part of RFC 5545 and not supported.",
    "EXDATE": "EXDATE is a line of its own, such as EXDATE:20261225T090000.",
    "RDATE": "RDATE is a line of its own, such as RDATE:20261224T090000.",
    "EXRULE": "EXRULE is not supported; RFC 5545 removed it.",
}


class InvalidRecurrence(ValueError):
    """`code` is `invalid_recurrence` or `too_frequent`; the text can be shown to users."""

    def __init__(self, detail: str, *, code: str = "invalid_recurrence") -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class WrittenStart:
    """A DTSTART line beside a rule: wall time in the named zone (in capitals; "" is the schedule's), or in UTC."""

    wall: datetime
    zone: str
    is_utc: bool

    def agrees(self, *, wall: datetime, utc: datetime, zone: str) -> bool:
        """Whether it is the schedule's start: wall time in its zone, and UTC, without fractions of a second."""
        if self.is_utc:
            return self.wall == utc.replace(tzinfo=None, microsecond=0)
        return self.wall == wall.replace(microsecond=0) and self.zone in {"", zone.upper()}


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """A value of EXDATE or RDATE: a whole day, or a naive time in the named zone ("" is the schedule's) or in UTC."""

    value: date | datetime
    zone: str
    is_utc: bool


@dataclass(frozen=True, slots=True)
class WrittenRecurrence:
    """`rule` is without its prefix, in capitals and on one line; "" if there are only dates."""

    rule: str
    start: WrittenStart | None
    left_out: tuple[WrittenDate, ...]
    added: tuple[WrittenDate, ...]


def separate(text: str) -> WrittenRecurrence:
    """Return what the lines say. The rule itself is not checked. Raises `InvalidRecurrence`."""
    if len(text) > MAX_TEXT:
        raise InvalidRecurrence(f"A recurrence has at most {MAX_TEXT} characters.")
    rules: list[str] = []
    starts: list[WrittenStart] = []
    dates: dict[str, list[WrittenDate]] = {"EXDATE": [], "RDATE": []}
    for line in map(str.strip, _BLANKS.sub(r"\1", _FOLD.sub("", text)).splitlines()):
        name = re.split(r"[;:=]", line, maxsplit=1)[0].upper()
        if name in dates and not line.upper().startswith(f"{name}="):
            dates[name].extend(_dates_of(name, line))
        elif name in NOT_SUPPORTED and not line.upper().startswith(f"{name}="):
            raise InvalidRecurrence(NOT_SUPPORTED[name])
        elif name == "DTSTART":
            starts.append(_start_of(line.upper()))
        elif line:
            rules.append(line.upper())
    if sum(map(len, dates.values())) > MAX_DATES:
        raise InvalidRecurrence(f"EXDATE and RDATE have at most {MAX_DATES} dates together.")
    if len(rules) > 1 or len(starts) > 1 or not (rules or any(dates.values())):
        raise InvalidRecurrence("Give one RRULE, and at most one DTSTART.")
    return WrittenRecurrence(
        _body(rules[0]) if rules else "", starts[0] if starts else None, tuple(dates["EXDATE"]), tuple(dates["RDATE"])
    )


def _body(rule: str) -> str:
    body = rule.removeprefix(PREFIX).strip(";")
    if len(body) > MAX_LENGTH:
        raise InvalidRecurrence(f"A rule has at most {MAX_LENGTH} characters.")
    if not body:
        raise InvalidRecurrence("The RRULE is empty.")
    # The schedule's start decides about seconds, and schedules start on the minute; any other BYSECOND is refused.
    return ";".join(part for part in body.split(";") if part not in {"BYSECOND=0", "BYSECOND=00"})


def _start_of(line: str) -> WrittenStart:
    found = _START.fullmatch(line)
    wall = _time_of(found["wall"]) if found else None
    if found is None or wall is None:
        raise InvalidRecurrence("DTSTART is a date and time such as DTSTART;TZID=Europe/Berlin:20270104T090000.")
    return WrittenStart(wall, found["zone"] or "", bool(found["utc"]))


def _dates_of(name: str, line: str) -> list[WrittenDate]:
    found = _DATE_LINE.fullmatch(line)
    if found is None:
        raise InvalidRecurrence(f"{name} has dates behind a colon, such as {name}:20261225T090000.")
    zone = ""
    for parameter in filter(None, found["parameters"].split(";")):
        key, _, given = parameter.partition("=")
        if key.upper() == "TZID" and given:
            zone = given.strip('"')
        elif key.upper() == "VALUE" and given.upper() == "PERIOD":
            raise InvalidRecurrence(f"{name} with VALUE=PERIOD is not supported; give its first time.")
        elif key.upper() != "VALUE" or given.upper() not in {"DATE", "DATE-TIME"}:
            raise InvalidRecurrence(f"{name} may have TZID and VALUE=DATE or DATE-TIME, not {parameter[:40]}.")
    # A trailing comma is left by programs that take a date out of the list.
    return [_date_of(name, value.upper(), zone) for value in found["values"].strip(",").split(",")]


def _date_of(name: str, value: str, zone: str) -> WrittenDate:
    time = _TIME.fullmatch(value)
    wall = _time_of(time[1]) if time else _time_of(f"{value}T000000") if _DAY.fullmatch(value) else None
    if "/" in value:
        raise InvalidRecurrence(f"{name} with a period is not supported; give its first time.")
    if wall is None:
        raise InvalidRecurrence(f"{name} has dates such as 20261225T090000 or 20261225, not {value[:40] or 'nothing'}.")
    if time is None:
        return WrittenDate(wall.date(), "", False)
    return WrittenDate(wall, "" if time[2] else zone, bool(time[2]))


def _time_of(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError:
        return None
