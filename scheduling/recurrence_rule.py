"""Strict parser for RFC 5545 RRULE values: text outside the grammar is refused.

What other programs write around a rule is taken off by `recurrence_lines`.

The parser of `dateutil` accepts more than the grammar (BYEASTER, several lines, any date) and ignores combinations that the RFC
forbids, so a rule could mean something other than its author intended.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from scheduling.recurrence_lines import NOT_SUPPORTED, PREFIX, InvalidRecurrence, separate

MAX_INTERVAL = 1_000
MAX_COUNT = 100_000

# Rule parts by name: BYDAY holds pairs of (ordinal or 0, weekday with Monday as 0), all others hold numbers.
ByParts = Mapping[str, tuple[Any, ...]]  # Any: the two kinds of items under one mapping

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

_NUMBER = re.compile(r"\d{1,7}", re.ASCII)
_SIGNED = re.compile(r"[+-]?\d{1,3}", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_WEEKS_OF_MONTH, _WEEKS_OF_YEAR = 5, 53
_NAME = re.compile(r"[A-Z][A-Z-]{0,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Until:
    """The UNTIL rule part: the last possible time, in UTC if `at` is aware, else as wall time in the schedule's zone."""

    at: datetime

    def is_past(self, *, wall: datetime, utc: datetime) -> bool:
        return (wall if self.at.tzinfo is None else utc) > self.at


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """A parsed recurrence rule. `by` has the BYxxx rule parts under their RFC 5545 names; `text` is canonical."""

    text: str
    frequency: str
    interval: int
    count: int | None
    until: Until | None
    week_start: int
    by: ByParts


def check(rule: object) -> str:
    """Return the rule in canonical form, `RRULE:FREQ=…`, which exceeds the length of `rule` at most by the prefix.

    The prefix is optional and case does not matter. An UNTIL without a time means the end of that day, one without Z is wall
    time in the schedule's zone. Raises `InvalidRecurrence`. Whether a rule ever fires depends on its start:
    `recurrence.next_occurrence` returns None for a rule that does not.
    """
    if not isinstance(rule, str):
        raise InvalidRecurrence("A recurrence is a text such as RRULE:FREQ=DAILY.")
    return PREFIX + parse(PREFIX + separate(rule).rule).text


@lru_cache(maxsize=1024)
def parse(rule: str) -> RecurrenceRule:
    """Parse a rule, with or without the prefix. Raises `InvalidRecurrence`."""
    parts = _split(separate(rule).rule)
    _refuse_seconds(parts)
    values = {key: _READERS[key](key, parts[key]) for key in _READERS if key in parts}
    by = {key: value for key, value in values.items() if key.startswith("BY")}
    _check_combination(values, by)
    return RecurrenceRule(
        text=";".join(f"{key}={_canonical(key, parts[key], values[key])}" for key in values),
        frequency=values["FREQ"],
        interval=values.get("INTERVAL", 1),
        count=values.get("COUNT"),
        until=values.get("UNTIL"),
        week_start=values.get("WKST", 0),
        by=MappingProxyType(by),
    )


def _split(body: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in body.split(";"):
        key, equals, value = part.partition("=")
        if key in NOT_SUPPORTED:
            raise InvalidRecurrence(NOT_SUPPORTED[key])
        if not equals or (key not in _READERS and key != "BYSECOND"):
            named = f"{key} is not a part of an RRULE. " if equals and _NAME.fullmatch(key) else ""
            raise InvalidRecurrence(f"{named}This is not one RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO.")
        if key in parts:
            raise InvalidRecurrence(f"{key} is given twice.")
        parts[key] = value
    return parts


def _refuse_seconds(parts: Mapping[str, str]) -> None:
    if parts.get("FREQ") == "SECONDLY" or "BYSECOND" in parts:
        raise InvalidRecurrence("A schedule runs at most once a minute, on its start's second.", code="too_frequent")


def _check_combination(values: Mapping[str, Any], by: ByParts) -> None:
    """Check required rule parts and forbidden combinations (RFC 5545, 3.3.10)."""
    frequency = values.get("FREQ")
    if frequency is None:
        raise InvalidRecurrence("FREQ is missing.")
    if "COUNT" in values and "UNTIL" in values:
        raise InvalidRecurrence("Give COUNT or UNTIL, not both.")
    for key, allowed in _ONLY_WITH.items():
        if key in by and frequency not in allowed:
            raise InvalidRecurrence(f"{key} cannot be combined with FREQ={frequency}.")
    if by.keys() == {"BYSETPOS"}:
        raise InvalidRecurrence("BYSETPOS needs another rule part to select from, such as BYDAY.")
    most = max_ordinal(frequency, by)
    if any(abs(ordinal) > most for ordinal, _weekday in by.get("BYDAY", ())):
        raise InvalidRecurrence("A numbered BYDAY such as 1MO needs FREQ=MONTHLY or YEARLY, and a number that exists.")


def max_ordinal(frequency: str, by: ByParts) -> int:
    """Return the largest ordinal that a BYDAY of this rule may have; 0 means none."""
    if frequency == "MONTHLY" or (frequency == "YEARLY" and "BYMONTH" in by and "BYWEEKNO" not in by):
        return _WEEKS_OF_MONTH
    return _WEEKS_OF_YEAR if frequency == "YEARLY" and "BYWEEKNO" not in by else 0


def _frequency(_key: str, text: str) -> str:
    if text not in FREQUENCIES:
        raise InvalidRecurrence(f"FREQ is one of {', '.join(FREQUENCIES)}.")
    return text


def _number(most: int) -> Callable[[str, str], int]:
    def read(key: str, text: str) -> int:
        if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
            raise InvalidRecurrence(f"{key} is a number from 1 to {most}.")
        return int(text)

    return read


def _list(least: int, most: int, *, negative: bool = False) -> Callable[[str, str], tuple[int, ...]]:
    def read(key: str, text: str) -> tuple[int, ...]:
        items = text.split(",")
        numbers = {int(item) for item in items if _SIGNED.fullmatch(item)}
        if not all(_SIGNED.fullmatch(item) for item in items) or not all(
            least <= number <= most or (negative and -most <= number <= -least) for number in numbers
        ):
            raise InvalidRecurrence(f"{key} is a list of numbers from {least} to {most}.")
        return tuple(sorted(numbers))

    return read


def _until(_key: str, text: str) -> Until:
    detail = "UNTIL is a date and time such as 20261231T235959Z."
    found = _UNTIL.fullmatch(text)
    if found is None:
        raise InvalidRecurrence(detail)
    try:
        day = datetime.strptime(found[1], "%Y%m%d").date()  # noqa: DTZ007
        clock = datetime.strptime(found[2], "%H%M%S").time() if found[2] else time(23, 59, 59)  # noqa: DTZ007
    except ValueError:
        raise InvalidRecurrence(detail) from None
    return Until(datetime.combine(day, clock, tzinfo=UTC if found[3] else None))


def _week_start(_key: str, text: str) -> int:
    if text not in WEEKDAYS:
        raise InvalidRecurrence(f"WKST is one of {', '.join(WEEKDAYS)}.")
    return WEEKDAYS.index(text)


def _days(_key: str, text: str) -> tuple[tuple[int, int], ...]:
    items = text.split(",")
    matches = [match for item in items if (match := _DAY.fullmatch(item))]
    if len(matches) < len(items) or any(match[1] and int(match[1]) == 0 for match in matches):
        raise InvalidRecurrence("BYDAY is a list of days such as MO, or 1MO and -1FR in a month.")
    return tuple(sorted({(int(match[1] or 0), WEEKDAYS.index(match[2])) for match in matches}))


def _canonical(key: str, given: str, value: Any) -> str:
    if key == "BYDAY":
        return ",".join(f"{ordinal or ''}{WEEKDAYS[weekday]}" for ordinal, weekday in value)
    if isinstance(value, tuple):
        return ",".join(str(number) for number in value)
    return str(value) if isinstance(value, int) and key != "WKST" else given


_READERS: Mapping[
    str, Callable[[str, str], Any]
] = {  # in canonical order; Any: a part is a text, number, tuple or `Until`
    "FREQ": _frequency,
    "INTERVAL": _number(MAX_INTERVAL),
    "COUNT": _number(MAX_COUNT),
    "UNTIL": _until,
    "WKST": _week_start,
    "BYMONTH": _list(1, 12),
    "BYWEEKNO": _list(1, 53, negative=True),
    "BYYEARDAY": _list(1, 366, negative=True),
    "BYMONTHDAY": _list(1, 31, negative=True),
    "BYDAY": _days,
    "BYHOUR": _list(0, 23),
    "BYMINUTE": _list(0, 59),
    "BYSETPOS": _list(1, 366, negative=True),
}
_ONLY_WITH: Mapping[str, frozenset[str]] = {
    "BYWEEKNO": frozenset({"YEARLY"}),
    "BYYEARDAY": frozenset({"YEARLY", "HOURLY", "MINUTELY"}),
    "BYMONTHDAY": frozenset(FREQUENCIES) - {"WEEKLY"},
}
