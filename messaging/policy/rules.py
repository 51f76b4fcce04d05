"""The shipped rules of hours, from `rules.toml`, and hours as people write them. Everything is checked when it is read."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from messaging.policy import calendars, quiet
from messaging.policy.hours import HELD_CATEGORIES, MINUTES_OF_DAY, WEEK, Day, Rule

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORT_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOSED = "closed"
_ID = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}|001", re.ASCII)
_PREFIX = re.compile(r"\+[1-9][0-9]{0,9}", re.ASCII)
_HOURS = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)
_KEYS = {
    "id",
    "name",
    "countries",
    "prefixes",
    "categories",
    "hours",
    "holidays",
    "source",
    "since",
    "until",
    "enabled",
}
_TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "name", "holidays", "source"), str),
    **dict.fromkeys(("countries", "prefixes", "categories"), list),
    **dict.fromkeys(("since", "until"), date),
    "enabled": bool,
}
_REQUIRED = {"id", "name", "categories", "hours", "source"}


class InvalidRule(ValueError):
    """The text can be shown to users."""


@dataclass(frozen=True, slots=True)
class ShippedRule:
    """`is_enabled` is how an installation begins with it."""

    rule: Rule
    is_enabled: bool


def shipped() -> list[ShippedRule]:
    """The rules of the file. Raises `InvalidRule` for one that is not exactly as it has to be."""
    return parse(tomllib.loads(files(__package__).joinpath("rules.toml").read_text("utf-8")))


def parse(document: Mapping[str, Any]) -> list[ShippedRule]:  # Any: TOML has values of several types
    if set(document) != {"rule"}:
        raise InvalidRule("The file has tables named rule, and nothing else.")
    found = [_shipped(row) for row in document["rule"]]
    if len({each.rule.id for each in found}) < len(found):
        raise InvalidRule("Two rules have the same id.")
    return found


def _shipped(row: Mapping[str, Any]) -> ShippedRule:
    name = str(row.get("id"))
    if unknown := row.keys() - _KEYS - set(DAYS):
        raise InvalidRule(f"{name}: unknown {', '.join(sorted(unknown))}")
    if missing := _REQUIRED - row.keys():
        raise InvalidRule(f"{name}: without {', '.join(sorted(missing))}")
    for key, value in row.items():
        if key in _TYPES and type(value) is not _TYPES[key]:
            raise InvalidRule(f"{name}: {key} is no {_TYPES[key].__name__}")
    rule = Rule(
        id=name,
        name=row["name"],
        countries=frozenset(row.get("countries", ())),
        prefixes=tuple(row.get("prefixes", ())),
        categories=frozenset(row["categories"]),
        hours=tuple(parse_hours(row.get(day, row["hours"])) for day in DAYS),
        holidays=row.get("holidays", ""),
        effective_from=row.get("since"),
        effective_until=row.get("until"),
        source=row["source"],
    )
    check(rule)
    return ShippedRule(rule, row.get("enabled", True))


def check(rule: Rule) -> None:
    """Raises `InvalidRule` for a rule that cannot be meant."""
    first, last = rule.effective_from or date.min, rule.effective_until or date.max
    problems = {
        "An id has up to 40 small letters, digits and dashes.": not _ID.fullmatch(rule.id),
        "This id is that of quiet hours.": rule.id in quiet.RULE_IDS,
        "A country has two capital letters, such as FR.": not _all_match(_COUNTRY, rule.countries),
        "A prefix has a plus sign and digits, such as +1512.": not _all_match(_PREFIX, rule.prefixes),
        "Give at least one category of marketing and transactional.": not rule.categories,
        "Only marketing and transactional messages are held.": not rule.categories <= HELD_CATEGORIES,
        "Give hours for at least one day.": not any(rule.hours),
        "There are hours for seven days.": len(rule.hours) != WEEK,
        "The last day comes before the first.": last < first,
        f"There is no calendar of holidays {rule.holidays}.": bool(rule.holidays)
        and not calendars.is_calendar(rule.holidays),
    }
    for problem, is_one in problems.items():
        if is_one:
            raise InvalidRule(f"{rule.id}: {problem}")


def _all_match(pattern: re.Pattern[str], values: Sequence[str] | frozenset[str]) -> bool:
    return all(pattern.fullmatch(str(value)) for value in values)


def parse_hours(text: object) -> Day:
    """`09:00-21:00`, or `closed`. Raises `InvalidRule`."""
    if text == CLOSED:
        return ()
    found = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidRule("Write hours such as 09:00-21:00, or closed.")
    hour, minute, to_hour, to_minute = map(int, found.groups())
    opens, closes = hour * 60 + minute, to_hour * 60 + to_minute
    if max(minute, to_minute) > 59 or closes > MINUTES_OF_DAY:  # noqa: PLR2004 (minutes of an hour)
        raise InvalidRule("There is no such time of day.")
    if opens >= closes:
        raise InvalidRule("The hours end before they begin.")
    return ((opens, closes),)


def in_words(hours: Sequence[Day]) -> str:
    """Such as `Mon-Sat 09:00-21:00, Sun 12:00-21:00`, with equal days next to each other as one."""
    groups: list[tuple[int, int]] = []
    for day in range(WEEK):
        if groups and hours[groups[-1][0]] == hours[day]:
            groups[-1] = (groups[-1][0], day)
        else:
            groups.append((day, day))
    if len(groups) == 1:
        return _spans(hours[0])
    return ", ".join(f"{_days(first, last)} {_spans(hours[first])}" for first, last in groups)


def _days(first: int, last: int) -> str:
    return SHORT_DAYS[first] if first == last else f"{SHORT_DAYS[first]}-{SHORT_DAYS[last]}"


def _spans(spans: Day) -> str:
    return " and ".join(f"{_clock(opens)}-{_clock(closes)}" for opens, closes in spans) or CLOSED


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
