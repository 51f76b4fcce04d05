"""Hours, moments and the clocks of the world: what is allowed, and what the next allowed moment is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.policy import calendars, zones
from messaging.policy.hours import HORIZON, Rule, next_open, violation
from tests.generated import examples

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NUMBERS = (
    *("+12105550123", "+12505550123", "+525512345678", "+5511987654321", "+447400123456", "+33612345678"),
    *("+4915112345678", "+79161234567", "+919876543210", "+819012345678", "+61412345678", "+9647901234567"),
)
MINUTE = timedelta(minutes=1)
# Nights on which clocks were or are changed: New York, Sydney, Lord Howe (by half an hour), São Paulo (at midnight), Berlin.
NIGHTS = [
    *("2026-03-08T06:00", "2026-11-01T05:00", "2026-04-04T15:00", "2026-10-03T15:00", "2026-04-04T14:30"),
    *("2018-11-04T02:00", "2018-02-18T01:00", "2017-10-15T02:30", "2026-03-29T00:30", "2026-10-25T00:30"),
]


def rule(*hours: str, **values) -> Rule:
    """One text of spans for all days, or seven."""
    week = [_spans(text) for text in (hours * 7 if len(hours) == 1 else hours)]
    return Rule(**{"id": "r", "name": "R", "categories": frozenset({"marketing"}), "hours": tuple(week)} | values)


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    clock = [[int(each[:2]) * 60 + int(each[3:]) for each in part.split("-")] for part in text.split()]
    return tuple((opens, closes) for opens, closes in clock)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(rules, names: list[str], now: str) -> str | None:
    found = next_open(rules, [ZoneInfo(name) for name in names], utc(now))
    return None if found is None else f"{found.at:%Y-%m-%dT%H:%M:%S}" if found.at else "never"


@pytest.mark.parametrize(
    ("hours", "zone", "now", "expected"),
    [
        # From the first minute until just before the last.
        ("08:00-21:00", "Europe/Berlin", "2026-12-01T06:59:59", "2026-12-01T07:00:00"),
        ("08:00-21:00", "Europe/Berlin", "2026-12-01T07:00", None),
        ("08:00-21:00", "Europe/Berlin", "2026-12-01T19:59:59", None),
        ("08:00-21:00", "Europe/Berlin", "2026-12-01T20:00", "2026-12-02T07:00:00"),
        ("00:00-24:00", "Europe/Berlin", "2026-12-01T22:59:59", None),
        # The clock is set forward: at 02:00 it is 03:00.
        ("02:30-04:00", "Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00:00"),
        ("08:00-21:00", "Europe/Berlin", "2026-03-28T20:00", "2026-03-29T06:00:00"),
        # Hours that lie within the missing one are left out that night.
        ("02:10-02:50", "Europe/Berlin", "2026-03-29T00:00", "2026-03-30T00:10:00"),
        # The clock is set back: 02:00 to 03:00 comes twice, and both count.
        ("02:00-02:30", "Europe/Berlin", "2026-10-25T00:15", None),
        ("02:00-02:30", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T01:00:00"),
        ("02:15-02:30", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T01:15:00"),
        # By half an hour at Lord Howe, and at midnight in São Paulo, which began the day at 01:00.
        ("02:00-02:10", "Australia/Lord_Howe", "2026-10-03T15:00", "2026-10-04T15:00:00"),
        ("00:00-01:30", "America/Sao_Paulo", "2018-11-04T02:00", "2018-11-04T03:00:00"),
    ],
)
def test_the_next_moment_by_one_clock(hours: str, zone: str, now: str, expected: str | None) -> None:
    assert opens([rule(hours)], [zone], now) == expected


def test_days_holidays_and_dates() -> None:
    closed_on_sunday = rule(*["08:00-22:00"] * 6, "", holidays="FR")
    # Christmas 2026 is a Friday; All Saints' 2027 a Monday, after a Sunday.
    assert opens([closed_on_sunday], ["Europe/Paris"], "2026-12-24T22:00") == "2026-12-26T07:00:00"
    assert opens([closed_on_sunday], ["Europe/Paris"], "2027-10-30T21:00") == "2027-11-02T07:00:00"

    dated = rule("08:00-21:00", effective_from=date(2026, 12, 2), effective_until=date(2026, 12, 3))
    assert opens([dated], ["Europe/Berlin"], "2026-12-01T22:59:59") is None
    assert opens([dated], ["Europe/Berlin"], "2026-12-01T23:00") == "2026-12-02T07:00:00"
    assert opens([dated], ["Europe/Berlin"], "2026-12-03T20:00") == "2026-12-03T23:00:00"


def test_every_rule_in_every_zone_has_to_allow_it() -> None:
    country, state = rule("08:00-21:00", id="us"), rule("12:00-20:00", id="state")

    found = next_open([country, state], [NEW_YORK, ZoneInfo("America/Los_Angeles")], utc("2026-12-01T12:00"))

    assert (found.at, found.rule.id, found.zone.key) == (utc("2026-12-01T20:00"), "state", "America/Los_Angeles")
    assert violation([country, state], [NEW_YORK], utc("2026-12-02T01:00"))[0].id == "state"
    assert violation([country, state], [NEW_YORK], utc("2026-12-01T18:00")) is None


def test_hours_that_never_meet() -> None:
    never = [rule("09:00-10:00"), rule("10:00-11:00", id="other")]

    assert opens(never, ["Europe/Berlin"], "2026-12-01T00:00") == "never"
    assert opens([rule("", "", "", "", "", "", "")], ["Europe/Berlin"], "2026-12-01T00:00") == "never"
    assert next_open([], [BERLIN], utc("2026-12-01T00:00")) is None


@pytest.mark.parametrize(
    ("values", "concerned"),
    [
        ({}, {"+33612345678", "+12105550123"}),
        ({"countries": frozenset({"FR"})}, {"+33612345678"}),
        ({"prefixes": ("+1210",)}, {"+12105550123"}),
        ({"countries": frozenset({"FR"}), "prefixes": ("+1210",)}, {"+33612345678", "+12105550123"}),
        ({"countries": frozenset({"DE"})}, set()),
    ],
)
def test_whom_a_rule_concerns(values, concerned: set[str]) -> None:
    one = rule("08:00-21:00", **values)
    numbers = {"+33612345678": "FR", "+12105550123": "US"}

    assert {n for n, c in numbers.items() if one.concerns(number=n, country=c, category="marketing")} == concerned
    assert not any(one.concerns(number=n, country=c, category="transactional") for n, c in numbers.items())


def test_no_rule_holds_one_time_passwords_and_emergencies() -> None:
    for_all = rule("08:00-21:00", categories=frozenset({"otp", "emergency", "transactional"}))

    assert not for_all.concerns(number="+33612345678", country="FR", category="otp")
    assert not for_all.concerns(number="+33612345678", country="FR", category="emergency")
    assert for_all.concerns(number="+33612345678", country="FR", category="transactional")


@st.composite
def weeks(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], ...], ...]:
    def day() -> tuple[tuple[int, int], ...]:
        points = sorted(draw(st.sets(st.integers(0, 48), max_size=4)))
        return tuple((first * 30, last * 30) for first, last in zip(points[::2], points[1::2], strict=False))

    return tuple(day() for _ in range(7)) if draw(st.booleans()) else (day(),) * 7


@st.composite
def rules_of(draw: st.DrawFn) -> list[Rule]:
    return [
        rule("08:00-21:00", id=f"r{number}", holidays=draw(st.sampled_from(["", "", "FR", "US"])), hours=draw(weeks()))
        for number in range(draw(st.integers(1, 3)))
    ]


moments = st.one_of(
    st.builds(lambda night, minutes: utc(night) + timedelta(minutes=minutes), st.sampled_from(NIGHTS), st.integers(-900, 180)),
    st.integers(0, 14 * 365 * 1440).map(lambda minutes: utc("2016-01-01T00:00") + timedelta(minutes=minutes)),
)  # fmt: skip


def is_allowed(rules: list[Rule], names: tuple[str, ...], at: datetime) -> bool:
    """As the law is read: by the clock on the wall, everywhere the person may be."""
    for name in names:
        wall = at.astimezone(ZoneInfo(name))
        minute = wall.hour * 60 + wall.minute
        for each in rules:
            if not any(first <= minute < last for first, last in each.spans_of(wall.date())):
                return False
    return True


@settings(max_examples=examples(400), deadline=None)
@given(rules_of(), st.sampled_from(NUMBERS), moments)
def test_the_moment_is_allowed_everywhere_and_no_earlier_one_is(rules: list[Rule], number: str, now: datetime) -> None:
    names = zones.location_of(number).zones
    found = next_open(rules, [ZoneInfo(name) for name in names], now)

    if found is None:
        assert is_allowed(rules, names, now)
        return
    assert not is_allowed(rules, names, now)
    end = found.at or now + HORIZON
    assert found.at is None or is_allowed(rules, names, found.at)
    # Each quarter of an hour before it: hours begin on such minutes, and so do the changes of clocks.
    grid = now.replace(minute=0, second=0, microsecond=0)
    while grid < end:
        assert grid < now or not is_allowed(rules, names, grid), grid
        grid += 15 * MINUTE
    # Each minute of the last two hours.
    assert not any(now <= end - n * MINUTE and is_allowed(rules, names, end - n * MINUTE) for n in range(1, 120))


def test_threads_ask_a_table_of_holidays_one_after_the_other(monkeypatch) -> None:
    """It is filled by the first one that asks for a year; the second must not find it half full."""
    begun, asked = threading.Event(), threading.Event()

    class Table:
        days: frozenset[date] = frozenset()
        is_filled = False

        def __contains__(self, day: date) -> bool:
            if not self.is_filled:
                self.is_filled = True
                begun.set()
                asked.wait(0.3)
                self.days = frozenset({date(2026, 12, 25)})
            return day in self.days

    table, christmas = Table(), date(2026, 12, 25)
    monkeypatch.setattr(calendars, "_table", lambda _calendar: table)

    def second() -> bool:
        assert begun.wait(5)
        try:
            return calendars.is_holiday("FR", christmas)
        finally:
            asked.set()

    with ThreadPoolExecutor(2) as executor:
        found = [executor.submit(calendars.is_holiday, "FR", christmas), executor.submit(second)]
        assert [each.result(5) for each in found] == [True, True]
