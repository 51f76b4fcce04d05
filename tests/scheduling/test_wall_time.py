"""Wall time to UTC, compared with transitions found by converting UTC times with `zoneinfo`."""

# ruff: noqa: DTZ001, DTZ901 - wall times are naive: that is what is tested

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.recurrence import Position, upcoming
from scheduling.wall_time import UnknownZone, to_utc, zone

ZONES = (
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
)
BEGIN, END = datetime(2008, 1, 1), datetime(2018, 1, 1)  # ten years with Apia's skipped day
DAYS = (END - BEGIN).days


@cache
def stretches(name: str) -> list[tuple[datetime, datetime, timedelta]]:
    """(from, to, offset), all naive UTC, over the ten years and two days around them."""
    tz = ZoneInfo(name)

    def offset_at(moment: datetime) -> timedelta:
        return moment.replace(tzinfo=UTC).astimezone(tz).utcoffset()

    found, begin, step = [], BEGIN - timedelta(days=2), timedelta(hours=6)
    moment = begin
    while moment < END + timedelta(days=2):
        if offset_at(moment + step) != offset_at(moment):
            change = moment + timedelta(
                seconds=next(
                    s for s in range(0, 21601, 60) if offset_at(moment + timedelta(seconds=s)) != offset_at(moment)
                )
            )
            found.append((begin, change, offset_at(moment)))
            begin = change
        moment += step
    return [*found, (begin, moment, offset_at(begin))]


def first_time_at_which_the_clock_has_reached(wall: datetime, name: str) -> datetime:
    return next(
        max(begin, wall - offset) for begin, end, offset in stretches(name) if max(begin, wall - offset) < end
    ).replace(tzinfo=UTC)


@pytest.mark.parametrize("name", ZONES)
def test_a_daily_schedule_keeps_its_wall_time_for_ten_years(name: str) -> None:
    chance = random.Random(name)
    times = [(0, 30), (2, 0), (2, 30), (chance.randrange(24), chance.randrange(1, 60))]

    for hour, minute in times:
        start = BEGIN.replace(hour=hour, minute=minute)
        found = upcoming(
            rule="RRULE:FREQ=DAILY", start=start, tz=ZoneInfo(name), position=Position(None, 0), count=DAYS
        )

        assert [wall for wall, _utc in found] == [start + timedelta(days=day) for day in range(DAYS)]
        assert [utc for _wall, utc in found] == [
            first_time_at_which_the_clock_has_reached(wall, name) for wall, _utc in found
        ]
        assert all(earlier.utc < later.utc for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("name", "wall", "expected"),
    [
        ("Europe/Berlin", datetime(2026, 7, 1, 9), datetime(2026, 7, 1, 7)),
        ("Europe/Berlin", datetime(2026, 3, 29, 1, 59, 59), datetime(2026, 3, 29, 0, 59, 59)),
        ("Europe/Berlin", datetime(2026, 3, 29, 2), datetime(2026, 3, 29, 1)),
        ("Europe/Berlin", datetime(2026, 3, 29, 2, 30, 15), datetime(2026, 3, 29, 1)),
        ("Europe/Berlin", datetime(2026, 3, 29, 2, 59, 59, 999_999), datetime(2026, 3, 29, 1)),
        ("Europe/Berlin", datetime(2026, 3, 29, 3), datetime(2026, 3, 29, 1)),
        ("Europe/Berlin", datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 0, 30)),
        ("Europe/Berlin", datetime(2026, 10, 25, 3), datetime(2026, 10, 25, 2)),
        ("Australia/Lord_Howe", datetime(2026, 10, 4, 2, 15), datetime(2026, 10, 3, 15, 30)),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 1, 45), datetime(2026, 4, 4, 14, 45)),
        ("Pacific/Apia", datetime(2011, 12, 30, 12), datetime(2011, 12, 30, 10)),
        ("Asia/Kathmandu", datetime(2026, 1, 1, 5, 45), datetime(2026, 1, 1, 0, 0)),
    ],
)
def test_a_skipped_time_is_the_end_of_the_gap_and_a_repeated_one_the_first(
    name: str, wall: datetime, expected: datetime
) -> None:
    assert to_utc(wall, ZoneInfo(name)) == expected.replace(tzinfo=UTC)


def test_the_fold_of_a_wall_time_makes_no_difference() -> None:
    wall = datetime(2026, 10, 25, 2, 30, fold=1)

    assert to_utc(wall, ZoneInfo("Europe/Berlin")) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.sampled_from(ZONES), st.datetimes(BEGIN, END))
def test_any_wall_time_becomes_the_first_time_at_which_the_clock_has_reached_it(name: str, wall: datetime) -> None:
    assert to_utc(wall, ZoneInfo(name)) == first_time_at_which_the_clock_has_reached(wall, name)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.sampled_from(ZONES), st.datetimes(), st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_later_wall_time_is_never_earlier_in_utc(name: str, wall: datetime, later: timedelta) -> None:
    tz = ZoneInfo(name)

    assert to_utc(wall, tz) <= to_utc(min(wall, datetime.max - later) + later, tz)


@pytest.mark.parametrize("name", ["America/New_York", "Pacific/Auckland"])
def test_the_ends_of_the_calendar_are_held(name: str) -> None:
    first, last = to_utc(datetime.min, ZoneInfo(name)), to_utc(datetime.max, ZoneInfo(name))

    assert (first.year, last.year) == (1, 9999)
    assert first.tzinfo is UTC
    assert last.tzinfo is UTC


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_zone_is_known_by_its_iana_name(name: str) -> None:
    assert zone(name).key == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Europe",
        "europe/berlin",
        "Europe/Berlin ",
        "Europe/Berlin\0",
        "Mars/Phobos",
        "CEST",
        "+01:00",
        "localtime",
        "Factory",
        "posixrules",
        "tzdata.zi",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/../UTC",
        "\ud800",
        "x" * 10_000,
        None,
        5,
    ],
)
def test_anything_else_is_no_zone(name: object) -> None:
    with pytest.raises(UnknownZone, match=r"^There is no such time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("Tokyo Standard Time", "Asia/Tokyo"),
        ("UTC", "UTC"),
    ],
)
def test_a_zone_is_known_by_the_name_that_outlook_writes(name: str, key: str) -> None:
    assert zone(name).key == key
