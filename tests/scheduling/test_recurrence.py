"""Occurrences in UTC: COUNT, UNTIL, clock changes, skipping, and bounded searches."""

# ruff: noqa: DTZ001 - wall times are naive: that is what is tested

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from scheduling.recurrence import (
    InvalidRecurrence,
    Occurrence,
    Position,
    SkipResult,
    first_at_or_after,
    next_occurrence,
    upcoming,
)
from tests.work import counted

BERLIN, UTC_ZONE, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("Pacific/Apia")
NEW = Position(last=None, count=0)
START = datetime(2026, 1, 5, 9, 0)  # a Monday
ALL_HOURS = "BYHOUR=" + ",".join(str(hour) for hour in range(24))
MOST_CALLS = 2_000_000  # a fraction of a second
ALL_MINUTES = "BYMINUTE=" + ",".join(str(minute) for minute in range(60))


def walls_of(rule: str | None, start: datetime = START, tz: ZoneInfo = UTC_ZONE, count: int = 100) -> list[datetime]:
    return [wall for wall, _utc in upcoming(rule=rule, start=start, tz=tz, position=NEW, count=count)]


@pytest.mark.parametrize("rule", [None, ""])
def test_without_a_rule_there_is_one_occurrence(rule: str | None) -> None:
    start = datetime(2026, 7, 1, 9, 0, 0, 250_000)

    first = next_occurrence(rule=rule, start=start, tz=BERLIN, position=NEW)
    second = next_occurrence(rule=rule, start=start, tz=BERLIN, position=Position(start, 1))

    assert first == Occurrence(start, datetime(2026, 7, 1, 7, 0, 0, 250_000, tzinfo=UTC))
    assert second is None


def test_the_first_occurrence_is_the_first_match_at_or_after_the_start() -> None:
    rule = "FREQ=WEEKLY;BYDAY=MO,TH"

    assert walls_of(rule, START, count=2) == [START, START + timedelta(days=3)]
    assert walls_of(rule, START + timedelta(days=1, minutes=1), count=1) == [START + timedelta(days=3, minutes=1)]


def test_count_counts_occurrences_up_to_the_position() -> None:
    rule = "FREQ=DAILY;COUNT=4"

    assert walls_of(rule) == [START + timedelta(days=day) for day in range(4)]
    assert upcoming(rule=rule, start=START, tz=UTC_ZONE, position=Position(START + timedelta(days=2), 3), count=9) == [
        Occurrence(START + timedelta(days=3), datetime(2026, 1, 8, 9, tzinfo=UTC))
    ]
    assert next_occurrence(rule=rule, start=START, tz=UTC_ZONE, position=Position(START + timedelta(days=3), 4)) is None


@pytest.mark.parametrize(
    ("until", "last_day"),
    [
        ("20260708", 8),
        ("20260708T085959", 7),
        ("20260708T090000", 8),
        ("20260708T065959Z", 7),
        ("20260708T070000Z", 8),
        ("20260101", None),
    ],
)
def test_until_is_included_in_the_zone_or_in_utc(until: str, last_day: int | None) -> None:
    found = walls_of(f"FREQ=DAILY;UNTIL={until}", datetime(2026, 7, 1, 9), BERLIN)

    assert (found[-1].day if found else None) == last_day


def test_the_microseconds_of_the_start_are_kept() -> None:
    start = START.replace(microsecond=500_000)

    found = walls_of("FREQ=DAILY;UNTIL=20260106T090000", start)

    assert found == [start, start + timedelta(days=1)]
    assert next_occurrence(rule="FREQ=DAILY", start=start, tz=UTC_ZONE, position=Position(found[1], 2)) == Occurrence(
        start + timedelta(days=2), datetime(2026, 1, 7, 9, 0, 0, 500_000, tzinfo=UTC)
    )


def test_a_time_that_is_skipped_runs_at_the_end_of_the_gap_and_one_that_is_repeated_runs_once() -> None:
    spring = upcoming(rule="FREQ=DAILY", start=datetime(2026, 3, 28, 2, 30), tz=BERLIN, position=NEW, count=3)
    autumn = upcoming(rule="FREQ=DAILY", start=datetime(2026, 10, 24, 2, 30), tz=BERLIN, position=NEW, count=3)

    assert [(wall.day, wall.hour, utc) for wall, utc in spring] == [
        (28, 2, datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        (29, 2, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        (30, 2, datetime(2026, 3, 30, 0, 30, tzinfo=UTC)),
    ]
    assert [utc for _wall, utc in autumn] == [
        datetime(2026, 10, 24, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


@pytest.mark.parametrize("microsecond", [0, 400_000])
def test_occurrences_that_a_gap_throws_together_are_one_and_count_once(microsecond: int) -> None:
    start = datetime(2026, 3, 29, 1, 45, 0, microsecond)
    rule = "FREQ=MINUTELY;INTERVAL=15;COUNT=4"

    at_once = upcoming(rule=rule, start=start, tz=BERLIN, position=NEW, count=9)
    stepped, position = [], NEW
    while found := next_occurrence(rule=rule, start=start, tz=BERLIN, position=position):
        stepped.append(found)
        position = Position(found.wall, position.count + 1)

    assert [(wall.hour, wall.minute) for wall, _utc in at_once][:2] == [(1, 45), (2, 0)]
    assert at_once[1].utc == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert len(at_once) == 4
    assert all(earlier.utc < later.utc for earlier, later in pairwise(at_once))
    assert stepped == at_once


def test_a_day_that_a_zone_skips_runs_at_the_start_of_the_next_day() -> None:
    found = upcoming(rule="FREQ=DAILY", start=datetime(2011, 12, 29, 0, 0), tz=APIA, position=NEW, count=3)

    assert [(wall.month, wall.day, utc) for wall, utc in found] == [
        (12, 29, datetime(2011, 12, 29, 10, 0, tzinfo=UTC)),
        (12, 30, datetime(2011, 12, 30, 10, 0, tzinfo=UTC)),
        (1, 1, datetime(2011, 12, 31, 10, 0, tzinfo=UTC)),
    ]


def test_upcoming_is_bounded_by_its_count() -> None:
    assert upcoming(rule="FREQ=MINUTELY", start=START, tz=UTC_ZONE, position=NEW, count=0) == []
    assert upcoming(rule="FREQ=MINUTELY", start=START, tz=UTC_ZONE, position=NEW, count=-1) == []
    assert len(upcoming(rule="FREQ=MINUTELY", start=START, tz=UTC_ZONE, position=NEW, count=5)) == 5


def test_skipping_returns_the_number_of_occurrences_and_the_position() -> None:
    moment = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)

    exact = first_at_or_after(rule="FREQ=DAILY", start=START, tz=UTC_ZONE, position=NEW, not_before=moment)
    later = first_at_or_after(
        rule="FREQ=DAILY",
        start=START,
        tz=UTC_ZONE,
        position=Position(START, 1),
        not_before=moment + timedelta(seconds=1),
    )

    assert exact == SkipResult(datetime(2026, 1, 8, 9), moment, 3, Position(datetime(2026, 1, 7, 9), 3))
    assert later == SkipResult(
        datetime(2026, 1, 9, 9), moment + timedelta(days=1), 3, Position(datetime(2026, 1, 8, 9), 4)
    )
    assert next_occurrence(rule="FREQ=DAILY", start=START, tz=UTC_ZONE, position=exact.position) == exact[:2]


def test_skipping_nothing_keeps_the_position() -> None:
    found = first_at_or_after(
        rule="FREQ=DAILY", start=START, tz=UTC_ZONE, position=NEW, not_before=datetime(2020, 1, 1, tzinfo=UTC)
    )

    assert found == SkipResult(START, START.replace(tzinfo=UTC), 0, NEW)


def test_missed_occurrences_use_up_the_count() -> None:
    arguments = {"rule": "FREQ=DAILY;COUNT=3", "start": START, "tz": UTC_ZONE, "position": NEW}

    third = first_at_or_after(**arguments, not_before=datetime(2026, 1, 7, tzinfo=UTC))
    fourth = first_at_or_after(**arguments, not_before=datetime(2026, 1, 8, tzinfo=UTC))

    assert (third.wall, third.skipped) == (datetime(2026, 1, 7, 9), 2)
    assert fourth is None


def test_a_month_of_missed_minutes_is_jumped_over_at_once() -> None:
    moment = datetime(2026, 2, 5, 9, 0, tzinfo=UTC)

    found, calls = counted(
        lambda: first_at_or_after(rule="FREQ=MINUTELY", start=START, tz=UTC_ZONE, position=NEW, not_before=moment)
    )

    assert calls < MOST_CALLS
    assert (found.utc, found.skipped) == (moment, 31 * 1440)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "FREQ=DAILY;INTERVAL=999;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=10",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYHOUR=0;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=7;BYHOUR=23;BYMINUTE=59;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=30;BYMINUTE=15",
        "FREQ=MINUTELY;BYHOUR=3;BYSETPOS=2",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=3",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        f"FREQ=DAILY;{ALL_HOURS};{ALL_MINUTES};BYMONTH=2;BYMONTHDAY=30",
        f"FREQ=DAILY;{ALL_HOURS};BYSETPOS=366",
    ],
)
def test_a_rule_that_never_fires_is_given_up_soon(rule: str) -> None:
    found, calls = counted(lambda: next_occurrence(rule=rule, start=START, tz=BERLIN, position=NEW))

    assert found is None
    assert calls < MOST_CALLS


def test_a_rare_rule_is_found() -> None:
    rule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"

    assert walls_of(rule, count=2) == [datetime(2044, 2, 29, 9), datetime(2072, 2, 29, 9)]
    assert walls_of(rule.replace("YEARLY", "MINUTELY"), count=1) == [datetime(2044, 2, 29, 0, 0)]


def test_a_series_ends_with_the_calendar() -> None:
    assert len(walls_of("FREQ=DAILY", datetime(9999, 12, 30, 9), APIA)) == 2
    assert len(walls_of("FREQ=HOURLY", datetime(9999, 12, 31, 22, 0))) == 2
    assert len(walls_of("FREQ=WEEKLY", datetime(9999, 12, 31, 22, 0))) == 1


def test_a_rule_that_is_not_one_is_refused_here_too() -> None:
    with pytest.raises(InvalidRecurrence):
        next_occurrence(rule="FREQ=SECONDLY", start=START, tz=UTC_ZONE, position=NEW)
