"""The text of a recurrence: one canonical form, or one kind of error."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.recurrence import InvalidRecurrence, Position, check, next_occurrence, separate
from tests.generated import examples
from tests.work import counted

KEYS = [
    *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"),
    *("BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS", "BYEASTER"),
]
MOST_CALLS = 2_000_000  # a fraction of a second
FREQUENCIES = ["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
WORDS = [*FREQUENCIES, "SECONDLY", "MO", "-1FR", "53SU", "20261231", "20261231T235959Z", "99999999", "00010101"]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("FREQ=DAILY", "RRULE:FREQ=DAILY"),
        (" rrule:freq=weekly;byday=mo,fr ", "RRULE:FREQ=WEEKLY;BYDAY=MO,FR"),
        ("BYDAY=MO;COUNT=4;FREQ=WEEKLY", "RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=MO"),
        ("FREQ=MONTHLY;BYDAY=+1MO,-1FR,1MO", "RRULE:FREQ=MONTHLY;BYDAY=-1FR,1MO"),
        ("FREQ=DAILY;INTERVAL=02;BYHOUR=17,9,09", "RRULE:FREQ=DAILY;INTERVAL=2;BYHOUR=9,17"),
        ("FREQ=MONTHLY;WKST=SU;BYDAY=MO,TU;BYSETPOS=-1", "RRULE:FREQ=MONTHLY;WKST=SU;BYDAY=MO,TU;BYSETPOS=-1"),
        ("FREQ=DAILY;UNTIL=20261231", "RRULE:FREQ=DAILY;UNTIL=20261231"),
        ("FREQ=DAILY;UNTIL=20261231T120000", "RRULE:FREQ=DAILY;UNTIL=20261231T120000"),
        ("FREQ=DAILY;UNTIL=20261231t120000z", "RRULE:FREQ=DAILY;UNTIL=20261231T120000Z"),
        ("FREQ=YEARLY;BYWEEKNO=-1,20;BYDAY=MO", "RRULE:FREQ=YEARLY;BYWEEKNO=-1,20;BYDAY=MO"),
        ("FREQ=MINUTELY;INTERVAL=1000;COUNT=100000", "RRULE:FREQ=MINUTELY;INTERVAL=1000;COUNT=100000"),
    ],
)
def test_a_rule_has_one_canonical_form(given: str, canonical: str) -> None:
    assert check(given) == canonical
    assert check(canonical) == canonical


@pytest.mark.parametrize(
    "rule", ["FREQ=SECONDLY", "FREQ=SECONDLY;INTERVAL=60", "FREQ=DAILY;BYSECOND=0,30", "BYSECOND=x"]
)
def test_more_often_than_each_minute_is_too_frequent(rule: str) -> None:
    with pytest.raises(InvalidRecurrence) as refusal:
        check(rule)

    assert refusal.value.code == "too_frequent"


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "RRULE:",
        "RRULE:RRULE:FREQ=DAILY",
        "FREQ=DAILY;FREQ=WEEKLY",
        "INTERVAL=2",
        "FREQ",
        "FREQ=",
        "FREQ=FORTNIGHTLY",
        "RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY",
        "EXDATE:20260101T000000",
        "EXRULE:FREQ=DAILY",
        "FREQ=DAILY;X-NAME=1",
        "FREQ=YEARLY;BYEASTER=0",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=1001",
        "FREQ=DAILY;INTERVAL=1_0",
        "FREQ=DAILY;INTERVAL=\u0661",
        "FREQ=DAILY;INTERVAL=99999999999999999999999",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=100001",
        "FREQ=DAILY;COUNT=2;UNTIL=20261231",
        "FREQ=DAILY;UNTIL=2026-12-31",
        "FREQ=DAILY;UNTIL=20261331",
        "FREQ=DAILY;UNTIL=00000101",
        "FREQ=DAILY;UNTIL=20261231T250000Z",
        "FREQ=DAILY;UNTIL=20261231Z",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYHOUR=-1",
        "FREQ=DAILY;BYHOUR=",
        "FREQ=DAILY;BYHOUR=9,",
        "FREQ=DAILY;BYMINUTE=60",
        "FREQ=DAILY;BYMONTH=0",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=YEARLY;BYYEARDAY=367",
        "FREQ=YEARLY;BYWEEKNO=54",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MONTHLY;BYDAY=XX",
        "FREQ=MONTHLY;BYDAY=MO(1)",
        "FREQ=YEARLY;BYDAY=54MO",
        "FREQ=YEARLY;BYMONTH=1;BYDAY=6MO",
        "FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYYEARDAY=1",
        "FREQ=MONTHLY;BYWEEKNO=1",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367",
        "FREQ=DAILY;WKST=1",
        "FREQ=MINUTELY;BYMINUTE=" + ",".join(["1"] * 300),
        "\ud800",
        "FREQ=DAILY\0",
        None,
        7,
        b"FREQ=DAILY",
    ],
)
def test_what_is_not_a_rule_is_refused(rule: object) -> None:
    with pytest.raises(InvalidRecurrence) as refusal:
        check(rule)

    assert refusal.value.code == "invalid_recurrence"
    assert str(refusal.value)


garbage = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(KEYS),
            st.one_of(
                st.sampled_from(WORDS),
                st.lists(st.integers(-400, 400), min_size=1, max_size=8).map(
                    lambda numbers: ",".join(map(str, numbers))
                ),
                st.text(alphabet="0123456789,+-TZMOFRSU()", max_size=12),
            ),
        ),
        max_size=7,
    ).map(lambda parts: ";".join(f"{key}={value}" for key, value in parts)),
    st.tuples(st.sampled_from(FREQUENCIES), st.lists(st.integers(1, 60), min_size=1, max_size=6)).map(
        lambda rule: f"FREQ={rule[0]};BYHOUR=0;BYMONTHDAY={','.join(map(str, rule[1]))};BYSETPOS={rule[1][0]}"
    ),
)


@settings(max_examples=examples(600), derandomize=True, deadline=None)
@given(garbage, st.datetimes())
def test_any_text_is_a_rule_or_refused_and_never_keeps_us_waiting(text: str, start: datetime) -> None:
    def canonical_if_any() -> str | None:
        try:
            canonical = check(text)
        except InvalidRecurrence:
            return None
        next_occurrence(rule=canonical, start=start, tz=ZoneInfo("America/New_York"), position=Position(None, 0))
        return canonical

    canonical, calls = counted(canonical_if_any)

    assert calls < MOST_CALLS
    assert canonical is None or check(canonical) == canonical


DAILY = "RRULE:FREQ=DAILY"


@pytest.mark.parametrize(
    "written",
    [
        ";FREQ=DAILY",
        "RRULE:;FREQ=DAILY;;",
        "RRULE:FREQ=\r\n DAILY",
        "RRULE:FR\n\tEQ=DAILY\n",
        "RRULE : FREQ = DAILY ; ",
        "FREQ=DAILY;BYSECOND=0",
        "BYSECOND=00;FREQ=DAILY",
        "DTSTART:20270104T090000\nRRULE:FREQ=DAILY",
        "RRULE:FREQ=DAILY\r\nDTSTART;TZID=Europe/Berlin:20270104T090000\r\n",
    ],
)
def test_what_other_programs_write_around_a_rule_is_taken(written: str) -> None:
    assert check(written) == DAILY


@pytest.mark.parametrize("name", ["SKIP", "RSCALE", "BYEASTER", "X-FOO"])
def test_a_part_that_is_not_supported_is_named(name: str) -> None:
    with pytest.raises(InvalidRecurrence, match=f"^{name} "):
        check(f"FREQ=DAILY;{name}=1")


def test_a_line_that_is_not_supported_is_named() -> None:
    with pytest.raises(InvalidRecurrence, match=r"^EXRULE "):
        check(f"{DAILY}\nEXRULE:FREQ=DAILY")


@pytest.mark.parametrize(
    "written", [f"{DAILY}\n{DAILY}", "DTSTART:20270104T090000", f"{DAILY}\n" + "DTSTART:20270104T090000\n" * 2, "\n"]
)
def test_there_is_one_rule_and_at_most_one_start(written: str) -> None:
    with pytest.raises(InvalidRecurrence, match="one RRULE"):
        check(written)


@pytest.mark.parametrize("start", ["20270104", "20271304T090000", "2027-01-04T09:00", "20270104T090000+01"])
def test_a_start_that_cannot_be_read_is_refused(start: str) -> None:
    with pytest.raises(InvalidRecurrence, match="DTSTART is a date and time"):
        check(f"DTSTART:{start}\n{DAILY}")


@pytest.mark.parametrize(
    ("line", "agrees"),
    [
        ("DTSTART:20270104T090000", True),
        ("DTSTART;TZID=Europe/Berlin:20270104T090000", True),
        ("DTSTART;VALUE=DATE-TIME;TZID=europe/berlin:20270104T090000", True),
        ("DTSTART:20270104T080000Z", True),
        ("DTSTART:20270104T090000Z", False),
        ("DTSTART:20270104T090001", False),
        ("DTSTART;TZID=Europe/Paris:20270104T090000", False),
    ],
)
def test_a_start_is_compared_with_the_schedule_s(line: str, agrees: bool) -> None:
    start = separate(f"{line}\n{DAILY}").start

    assert start is not None
    wall = datetime(2027, 1, 4, 9, 0, 0, 5)  # noqa: DTZ001
    utc = datetime(2027, 1, 4, 8, tzinfo=UTC)
    assert start.agrees(wall=wall, utc=utc, zone="Europe/Berlin") is agrees
