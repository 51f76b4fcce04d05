"""A recurrence set continued at each occurrence equals the one that `dateutil` computes from the start."""

# ruff: noqa: DTZ001 - wall times are naive: that is what is tested

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random

import pytest
from dateutil.rrule import rrulestr

from scheduling.recurrence_rule import WEEKDAYS, parse
from scheduling.recurrence_set import wall_times
from tests.generated import examples

LENGTH = 8
RULES_PER_SEED = examples(250)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
ORDINALS = (-5, -2, -1, 1, 2, 3, 4, 5)


def numbers(chance: Random, key: str, least: int, most: int, *, negative: bool = False) -> str:
    chosen = [chance.randint(least, most) for _ in range(chance.randint(1, 6))]
    if negative and chance.random() < 0.4:
        chosen[0] = -chosen[0]
    return f"{key}={','.join(map(str, chosen))}"


def days(chance: Random) -> str:
    return f"BYDAY={','.join(chance.sample(DAYS, chance.randint(1, 5)))}"


def numbered_days(chance: Random) -> str:
    return "BYDAY=" + ",".join(f"{chance.choice(ORDINALS)}{chance.choice(DAYS)}" for _ in range(chance.randint(1, 3)))


def choice_of_days(chance: Random, frequency: str) -> str:
    choices = [lambda: days(chance)]
    if frequency in {"YEARLY", "MONTHLY"}:
        choices.append(lambda: numbered_days(chance))
    if frequency != "WEEKLY":
        choices.append(lambda: numbers(chance, "BYMONTHDAY", 1, 31, negative=True))
    if frequency in {"YEARLY", "HOURLY", "MINUTELY"}:
        choices.append(lambda: numbers(chance, "BYYEARDAY", 1, 366, negative=True))
    if frequency == "YEARLY":
        choices.append(lambda: numbers(chance, "BYWEEKNO", 1, 53, negative=True))
    return chance.choice(choices)()


def random_rule(chance: Random) -> str:
    frequency = chance.choice(FREQUENCIES)
    intervals = (
        [1, 1, 2, 3, 5, 7, 15, 45, chance.randint(1, 1000)] if frequency in {"HOURLY", "MINUTELY"} else [1, 2, 3, 7]
    )
    parts = [f"FREQ={frequency}", f"INTERVAL={chance.choice(intervals)}", f"WKST={chance.choice(DAYS)}"]
    by = [
        *([numbers(chance, "BYMONTH", 1, 12)] if chance.random() < 0.3 else []),
        *([choice_of_days(chance, frequency)] if chance.random() < 0.6 else []),
        *([numbers(chance, "BYHOUR", 0, 23)] if chance.random() < 0.3 else []),
        *([numbers(chance, "BYMINUTE", 0, 59)] if chance.random() < 0.3 else []),
    ]
    if by and chance.random() < 0.3:
        by.append(numbers(chance, "BYSETPOS", 1, 4, negative=True))
    return ";".join(parts + by)


def random_start(chance: Random) -> datetime:
    year, month, day = chance.choice(
        [(2028, 2, 29), (2026, 12, 31), (2027, 1, 31), (chance.randint(2020, 2030), chance.randint(1, 12), 28)]
    )
    start = datetime(year, month, day, chance.randrange(24), chance.randrange(60), chance.choice([0, 30]))
    return start - timedelta(days=chance.randrange(30))


def series_of_library(rule: str, start: datetime) -> Iterator[datetime]:
    """As the library gives it, but for dateutil#1398: in the week of the start it counts BYSETPOS from the start."""
    if "FREQ=WEEKLY" not in rule or "BYSETPOS" not in rule:
        return iter(rrulestr(rule, dtstart=start))
    if "BYDAY" not in rule:
        rule += f";BYDAY={WEEKDAYS[start.weekday()]}"
    week = start - timedelta(days=(start.weekday() - parse(rule).week_start) % 7)
    return (wall for wall in rrulestr(rule, dtstart=week) if wall >= start)


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", datetime(2027, 1, 11, 9)),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", datetime(2027, 1, 8, 9)),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=4", datetime(2027, 1, 7, 9)),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", datetime(2027, 1, 18, 9)),
    ],
)
def test_the_week_of_the_start_is_a_whole_week_for_bysetpos(rule: str, first: datetime) -> None:
    thursday = datetime(2027, 1, 7, 9)

    assert next(wall_times(parse(rule), start=thursday, last=None)) == first


def assert_same_series(rule: str, start: datetime) -> bool:
    """Return False if there was nothing to compare: where we stop, the library would search until the year 9999."""
    parsed, stepped, last = parse(rule), [], None
    while len(stepped) < LENGTH and (last := next(wall_times(parsed, start=start, last=last), None)):
        stepped.append(last)
    if not stepped:
        return False

    assert stepped == list(islice(series_of_library(rule, start), len(stepped))), (rule, start)
    assert stepped == list(islice(wall_times(parsed, start=start, last=None), len(stepped))), (rule, start)
    return True


@pytest.mark.parametrize("seed", range(8))
def test_stepping_gives_the_library_s_series(seed: int) -> None:
    chance = Random(seed)

    compared = sum(assert_same_series(random_rule(chance), random_start(chance)) for _ in range(RULES_PER_SEED))

    assert compared > RULES_PER_SEED * 0.7


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=MONTHLY", datetime(2026, 1, 31, 9)),
        ("FREQ=YEARLY", datetime(2028, 2, 29, 9)),
        ("FREQ=YEARLY;BYMONTH=2", datetime(2026, 1, 28, 9)),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", datetime(2026, 1, 31, 9)),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,MO", datetime(2026, 1, 31, 9)),
        ("FREQ=WEEKLY;WKST=SU;BYDAY=MO,WE,FR;BYSETPOS=2", datetime(2026, 1, 29, 9)),
        ("FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO;BYHOUR=1,2,3;BYSETPOS=2,-1", datetime(2025, 12, 31, 2)),
        ("FREQ=HOURLY;INTERVAL=5;BYHOUR=3,4;BYMINUTE=0,50,10;BYSETPOS=-1", datetime(2026, 1, 31, 9, 20)),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9,17;BYSETPOS=-1,-2", datetime(2026, 1, 30, 10)),
    ],
)
def test_what_a_rule_takes_from_its_start_stays_when_it_is_continued(rule: str, start: datetime) -> None:
    assert assert_same_series(rule, start)


def test_a_bare_day_among_numbered_ones_is_every_such_day() -> None:
    found = wall_times(parse("FREQ=MONTHLY;BYDAY=MO,1TU"), start=datetime(2026, 3, 1, 9), last=None)

    assert [day.day for day in islice(found, 7)] == [2, 3, 9, 16, 23, 30, 6]


def test_a_bare_day_among_numbered_ones_of_a_year_too() -> None:
    found = wall_times(parse("FREQ=YEARLY;BYDAY=MO,-1TU"), start=datetime(2026, 12, 20, 9), last=None)

    assert [day.day for day in islice(found, 4)] == [21, 28, 29, 4]
