"""A rule together with dates that are left out or added, and a holiday calendar."""

# ruff: noqa: DTZ001 - wall times are naive: that is what is tested

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from scheduling.recurrence import (
    Dates,
    Position,
    first_at_or_after,
    next_occurrence,
    position_after,
    skip_all,
    steps,
    upcoming,
)
from scheduling.recurrence_dates import LeftOut
from tests.work import counted

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NEW = Position(last=None, count=0)
START = datetime(2026, 12, 21, 9, 0)  # a Monday
CHRISTMAS = datetime(2026, 12, 25, 9, 0)
MOST_CALLS = 6_000_000


def day(number: int, hour: int = 9) -> datetime:
    return datetime(2026, 12, number, hour)


def walls(rule: str | None, dates: Dates, *, start: datetime = START, tz: ZoneInfo = UTC_ZONE, count: int = 50) -> list:
    found = upcoming(rule=rule, start=start, tz=tz, position=NEW, count=count, dates=dates)
    return [wall for wall, _utc in found]


@pytest.mark.parametrize(
    ("rule", "dates", "expected"),
    [
        ("FREQ=DAILY;COUNT=4", Dates(frozenset({day(22)})), [day(21), day(23), day(24)]),
        ("FREQ=DAILY;COUNT=4", Dates(frozenset({day(21)})), [day(22), day(23), day(24)]),
        ("FREQ=DAILY;COUNT=4", Dates(frozenset({date(2026, 12, 22)})), [day(21), day(23), day(24)]),
        ("FREQ=DAILY;COUNT=4", Dates(frozenset({day(22, 10)})), [day(21), day(22), day(23), day(24)]),
        ("FREQ=DAILY;COUNT=2", Dates(added=(day(21, 18), day(24))), [day(21), day(21, 18), day(22), day(24)]),
        ("FREQ=DAILY;COUNT=3", Dates(added=(day(22),)), [day(21), day(22), day(23)]),
        ("FREQ=DAILY;COUNT=2", Dates(frozenset({day(24)}), (day(24),)), [day(21), day(22)]),
        ("FREQ=DAILY;COUNT=2", Dates(frozenset({date(2026, 12, 24)}), (day(24),)), [day(21), day(22)]),
        (None, Dates(added=(day(24), day(26))), [day(21), day(24), day(26)]),
        (None, Dates(frozenset({day(21)}), (day(24),)), [day(24)]),
        ("FREQ=DAILY;COUNT=7", Dates(holidays="DE"), [day(21), day(22), day(23), day(24), day(27)]),
        ("FREQ=DAILY;COUNT=7", Dates(added=(day(25),), holidays="DE"), [*map(day, range(21, 26)), day(27)]),
        ("FREQ=DAILY;UNTIL=20261226T090000", Dates(frozenset({day(26)})), [*map(day, range(21, 26))]),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;COUNT=2",
            Dates(added=(day(23),)),
            [day(21), day(23), datetime(2027, 1, 4, 9)],
        ),
        ("FREQ=DAILY;COUNT=1", Dates(frozenset({day(21)})), []),
        ("FREQ=WEEKLY;BYDAY=WE;COUNT=1", Dates(added=(day(22),)), [day(22), day(23)]),
    ],
)
def test_what_runs(rule: str | None, dates: Dates, expected: list[datetime]) -> None:
    assert walls(rule, dates) == expected


def test_fractions_of_the_start_s_second_do_not_matter() -> None:
    start = START.replace(microsecond=5)

    assert walls("FREQ=DAILY;COUNT=2", Dates(frozenset({day(22)}), (day(23),)), start=start) == [
        start,
        day(23).replace(microsecond=5),
    ]


@pytest.mark.parametrize("left_out", [datetime(2027, 3, 28, 2, 30), datetime(2027, 3, 28, 3, 0), date(2027, 3, 28)])
def test_a_time_that_clocks_skip_is_left_out_by_its_wall_time_and_by_when_it_runs(left_out: date) -> None:
    start = datetime(2027, 3, 27, 2, 30)

    found = upcoming(
        rule="FREQ=DAILY;COUNT=3", start=start, tz=BERLIN, position=NEW, count=9, dates=Dates(frozenset({left_out}))
    )

    assert [utc for _, utc in found] == [
        datetime(2027, 3, 27, 1, 30, tzinfo=UTC),
        datetime(2027, 3, 29, 0, 30, tzinfo=UTC),
    ]


def test_an_added_time_in_a_gap_runs_at_its_end_once() -> None:
    added = (datetime(2027, 3, 28, 2, 15), datetime(2027, 3, 28, 2, 45), datetime(2027, 3, 28, 3, 0))

    found = upcoming(rule=None, start=START, tz=BERLIN, position=NEW, count=9, dates=Dates(added=added))

    assert [utc for _, utc in found] == [datetime(2026, 12, 21, 8, tzinfo=UTC), datetime(2027, 3, 28, 1, tzinfo=UTC)]


def stepped(rule: str | None, dates: Dates, start: datetime, tz: ZoneInfo, most: int) -> list[datetime]:
    found, position = [], NEW
    while len(found) < most and (
        step := next_occurrence(rule=rule, start=start, tz=tz, position=position, dates=dates)
    ):
        found.append(step.wall)
        position = position_after(step.wall, rule=rule, start=start, tz=tz, position=position, dates=dates)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_continuing_at_each_run_gives_the_same_as_from_the_start(seed: int) -> None:
    chance = Random(seed)
    start = datetime(2027, 3, 25, 1, 45)
    for _ in range(30):
        rule = chance.choice(
            [
                None,
                "FREQ=DAILY",
                "FREQ=DAILY;COUNT=9",
                "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
                "FREQ=MINUTELY;INTERVAL=45;COUNT=200",
                "FREQ=HOURLY;INTERVAL=5",
                "FREQ=MONTHLY;BYMONTHDAY=31",
            ]
        )
        times = [start + timedelta(minutes=15 * chance.randrange(2_000)) for _ in range(30)]
        dates = Dates(
            frozenset({*times[:20], *(time.date() for time in times[20:22])}),
            tuple(sorted(times[15:])),
            chance.choice(["", "DE"]),
        )

        at_once = walls(rule, dates, start=start, tz=BERLIN, count=25)

        assert stepped(rule, dates, start, BERLIN, 25) == at_once
        moments = upcoming(rule=rule, start=start, tz=BERLIN, position=NEW, count=25, dates=dates)
        assert all(earlier.utc < later.utc for earlier, later in pairwise(moments))


def test_skipping_goes_over_added_and_left_out_dates_and_keeps_the_count() -> None:
    dates = Dates(frozenset({day(22)}), (day(23, 12),))
    arguments = {"rule": "FREQ=DAILY;COUNT=5", "start": START, "tz": UTC_ZONE, "position": NEW, "dates": dates}

    found = first_at_or_after(**arguments, not_before=day(23, 13).replace(tzinfo=UTC))
    skipped, end = skip_all(**arguments)

    assert (found.wall, found.skipped, found.position) == (day(24), 3, Position(day(23), 3, day(23, 12)))
    assert found.position.latest == day(23, 12)
    assert (skipped, end) == (5, Position(day(25), 5))


def test_what_is_left_out_is_listed_with_its_reason() -> None:
    dates = Dates(frozenset({day(22), day(24)}), (day(24, 12),), "DE")
    left_out = LeftOut(dates, UTC_ZONE)

    found = list(
        steps(rule="FREQ=DAILY;COUNT=6", start=START, tz=UTC_ZONE, position=NEW, dates=dates, left_out=left_out)
    )

    assert [(step.wall, step.left_out, step.is_added) for step in found] == [
        (day(21), None, False),
        (day(22), ("exdate", ""), False),
        (day(23), None, False),
        (day(24), ("exdate", ""), False),
        (day(24, 12), None, True),
        (day(25), ("holiday", "Christmas Day"), False),
        (day(26), ("holiday", "Second Day of Christmas"), False),
    ]
    assert left_out.matched == {day(22), day(24)}


@pytest.mark.parametrize(
    ("rule", "dates"),
    [
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25", Dates(holidays="DE")),
        ("FREQ=DAILY;BYMONTH=12;BYMONTHDAY=25,26", Dates(holidays="DE")),
        ("FREQ=MINUTELY;BYMONTH=12;BYMONTHDAY=25", Dates(holidays="DE")),
        ("FREQ=HOURLY;BYMONTH=1,5,10,12;BYMONTHDAY=1,3,25;BYYEARDAY=1", Dates(holidays="DE")),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25;UNTIL=20990101T000000Z", Dates(holidays="DE")),
        ("FREQ=MINUTELY;BYMONTH=12;BYMONTHDAY=25;COUNT=50000", Dates(holidays="DE")),
        ("FREQ=DAILY;COUNT=1", Dates(frozenset({CHRISTMAS}))),
    ],
)
def test_a_rule_of_which_everything_is_left_out_is_given_up_soon(rule: str, dates: Dates) -> None:
    found, calls = counted(lambda: next_occurrence(rule=rule, start=CHRISTMAS, tz=BERLIN, position=NEW, dates=dates))

    assert found is None
    assert calls < MOST_CALLS


def test_years_of_left_out_minutes_do_not_end_a_schedule() -> None:
    days = frozenset(START.date() + timedelta(days=number) for number in range(1_000))

    found, calls = counted(
        lambda: next_occurrence(rule="FREQ=MINUTELY", start=START, tz=BERLIN, position=NEW, dates=Dates(days))
    )

    assert found.wall == datetime(2029, 9, 16, 0, 0)
    assert calls < MOST_CALLS / 10
