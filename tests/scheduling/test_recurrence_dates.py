"""EXDATE and RDATE: what is read, in which zone, and how it is written again."""

# ruff: noqa: DTZ001 - wall times are naive: that is what is tested

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.recurrence import InvalidRecurrence, check, separate
from scheduling.recurrence_dates import Dates, lines, read, resolve, stored
from tests.generated import examples

BERLIN, NEW_YORK, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")
START = datetime(2026, 12, 1, 9, 0)
DAILY = "RRULE:FREQ=DAILY"
CHRISTMAS = datetime(2026, 12, 25, 9, 0)


def resolved(text: str, tz: ZoneInfo = BERLIN, start: datetime = START) -> tuple[list, list]:
    written = separate(text)
    left_out, added = resolve(written.left_out, written.added, start=start, tz=tz)
    return sorted(left_out, key=str), list(added)


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("EXDATE;TZID=Europe/Berlin:20261225T090000", [CHRISTMAS]),
        ("EXDATE:20261225T090000", [CHRISTMAS]),
        ("exdate;tzid=europe/berlin:20261225t090000", [CHRISTMAS]),
        ('EXDATE;TZID="W. Europe Standard Time":20261225T090000', [CHRISTMAS]),
        ("EXDATE;VALUE=DATE-TIME;TZID=Europe/Berlin:20261225T090000", [CHRISTMAS]),
        ("EXDATE:20261225T080000Z", [CHRISTMAS]),
        ("EXDATE;TZID=Europe/Berlin:20261225T080000Z", [CHRISTMAS]),
        ("EXDATE;TZID=America/New_York:20261225T030000", [CHRISTMAS]),
        ("EXDATE;VALUE=DATE:20261225", [date(2026, 12, 25)]),
        ("EXDATE:20261225", [date(2026, 12, 25)]),
        ("EXDATE:20261225T090000,20261226T090000", [CHRISTMAS, CHRISTMAS.replace(day=26)]),
        ("EXDATE:20261225T090000 , 20261226T090000,", [CHRISTMAS, CHRISTMAS.replace(day=26)]),
        ("EXDATE:20261225T090000\r\nEXDATE:20261226T090000\r\n", [CHRISTMAS, CHRISTMAS.replace(day=26)]),
        ("EXDATE:20261225T0900\r\n 00,2026122\n\t6T090000", [CHRISTMAS, CHRISTMAS.replace(day=26)]),
        ("EXDATE:20261225T090000,20261225T080000Z", [CHRISTMAS]),
        ("EXDATE:20260329T003000Z", [datetime(2026, 3, 29, 1, 30)]),
        ("EXDATE:20261025T013000Z", [datetime(2026, 10, 25, 2, 30)]),
    ],
)
@pytest.mark.parametrize("order", ["{rule}\n{dates}", "{dates}\n{rule}"])
def test_dates_are_read_as_programs_write_them(text: str, left_out: list, order: str) -> None:
    assert resolved(order.format(rule=DAILY, dates=text)) == (left_out, [])


def test_added_dates_are_wall_times_and_a_whole_day_has_the_start_s_time() -> None:
    assert resolved("RDATE:20261224T180000,20261224T170000Z\nRDATE;VALUE=DATE:20261231") == (
        [],
        [datetime(2026, 12, 24, 18), datetime(2026, 12, 31, 9)],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RDATE;VALUE=PERIOD:20261225T090000/PT1H", "RDATE with VALUE=PERIOD is not supported"),
        ("RDATE:20261225T090000/20261225T100000", "RDATE with a period is not supported"),
        ("EXDATE;TZID=Mars/Phobos:20261225T090000", "EXDATE: There is no such time zone"),
        ("EXDATE;X-FOO=1:20261225T090000", "EXDATE may have TZID and VALUE=DATE or DATE-TIME, not X-FOO=1"),
        ("EXDATE;VALUE=TEXT:20261225", "EXDATE may have TZID"),
        ("EXDATE:2026-12-25", "EXDATE has dates such as 20261225T090000 or 20261225, not 2026-12-25"),
        ("EXDATE:20261325", "EXDATE has dates such as"),
        ("EXDATE:20261225T2500", "EXDATE has dates such as"),
        ("EXDATE:20261225Z", "EXDATE has dates such as"),
        ("EXDATE:٢٠٢٦١٢٢٥", "EXDATE has dates such as"),
        ("EXDATE:", "not nothing"),
        ("EXDATE", "EXDATE has dates behind a colon"),
        ("EXDATE:" + ",".join(["20261225"] * 1_001), "at most 1000 dates together"),
        ("RDATE:20261201T085959", "RDATE 2026-12-01 08:59 is before run_at"),
        ("RDATE;VALUE=DATE:20261130", "is before run_at"),
        ("RDATE:20271031T013000Z", "the second of two equal hours in Europe/Berlin"),
    ],
)
def test_a_refusal_names_the_line_and_the_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidRecurrence) as refusal:
        resolved(text)

    assert words in str(refusal.value)
    assert refusal.value.code == "invalid_recurrence"


def test_a_date_at_the_end_of_the_calendar_is_out_of_range() -> None:
    with pytest.raises(InvalidRecurrence, match="EXDATE 0001-01-01 is out of range"):
        resolved("EXDATE:00010101T000000Z", tz=NEW_YORK)


@pytest.mark.parametrize("text", ["EXDATE=20261225", "FREQ=DAILY;EXDATE=20261225"])
def test_a_date_within_the_rule_is_told_where_it_belongs(text: str) -> None:
    with pytest.raises(InvalidRecurrence, match="EXDATE is a line of its own"):
        check(text)


def test_a_thousand_dates_are_taken() -> None:
    days = [
        f"2027{month:02}{day:02}T{hour:02}0000" for month in range(1, 11) for day in range(1, 21) for hour in range(5)
    ]

    assert len(resolved(f"{DAILY}\n" + "\n".join(f"EXDATE;TZID=Europe/Berlin:{day}" for day in days))[0]) == 1_000


def test_what_is_written_is_one_line_for_each_kind() -> None:
    dates = Dates(frozenset({CHRISTMAS, date(2027, 1, 6), date(2026, 12, 31)}), (datetime(2026, 12, 24, 18),))

    assert lines(dates, BERLIN) == [
        "EXDATE;VALUE=DATE:20261231,20270106",
        "EXDATE;TZID=Europe/Berlin:20261225T090000",
        "RDATE;TZID=Europe/Berlin:20261224T180000",
    ]
    assert lines(dates, BERLIN, in_utc=True)[1:] == ["EXDATE:20261225T080000Z", "RDATE:20261224T170000Z"]
    assert lines(dates, UTC_ZONE)[1:] == ["EXDATE:20261225T090000Z", "RDATE:20261224T180000Z"]
    assert lines(dates, None)[1:] == ["EXDATE:20261225T090000", "RDATE:20261224T180000"]
    assert lines(Dates(), BERLIN) == []


moments = st.datetimes(datetime(2026, 12, 1, 9), datetime(2099, 1, 1)).map(lambda wall: wall.replace(microsecond=0))


@settings(max_examples=examples(200), derandomize=True, deadline=None)
@given(
    st.frozensets(st.one_of(moments, st.dates(date(1, 1, 1))), max_size=6),
    st.lists(moments, max_size=6, unique=True).map(sorted).map(tuple),
    st.sampled_from([BERLIN, NEW_YORK, UTC_ZONE]),
)
def test_what_is_stored_and_what_is_written_is_read_again(left_out: frozenset, added: tuple, tz: ZoneInfo) -> None:
    dates = Dates(left_out, added)

    assert frozenset(read(stored(left_out))) == left_out
    if left_out or added:
        for zone in (None, tz) if tz != UTC_ZONE else (None, UTC_ZONE):
            written = separate("\n".join(lines(dates, zone)))
            assert resolve(written.left_out, written.added, start=START, tz=tz) == (left_out, added)


@pytest.mark.parametrize("text", [DAILY + " " * 65_000 + "X", "EXDATE" + "\t" * 65_000 + "X"], ids=len)
def test_a_long_run_of_blanks_is_refused_in_one_pass(text: str) -> None:
    """Twenty seconds when each blank was a place to begin at."""
    with pytest.raises(InvalidRecurrence):
        separate(text)
