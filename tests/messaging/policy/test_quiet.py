"""Quiet hours as rules: what they allow, and what are no quiet hours."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from messaging.policy import quiet
from messaging.policy.hours import next_open
from messaging.policy.quiet import InvalidQuietHours

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("quiet_from", "quiet_until", "allowed"),
    [
        (time(21), time(8), ((480, 1260),)),
        (time(12, 30), time(14), ((0, 750), (840, 1440))),
        (time(0), time(8), ((480, 1440),)),
        (time(22), time(0), ((0, 1320),)),
        (time(0), time(23, 59), ((1439, 1440),)),
        (time(23, 59), time(0), ((0, 1439),)),
        (time(8, 1), time(8), ((480, 481),)),
    ],
)
def test_every_day_allows_what_is_not_quiet(quiet_from: time, quiet_until: time, allowed) -> None:
    rule = quiet.rule_of("quiet-owner", quiet_from, quiet_until)

    assert rule.hours == (allowed,) * 7
    for minute in range(1440):
        wall = datetime.combine(date(2026, 11, 30), time(minute // 60, minute % 60))
        after_begin, before_end = wall.time() >= quiet_from, wall.time() < quiet_until
        is_quiet = (after_begin and before_end) if quiet_from < quiet_until else (after_begin or before_end)
        assert rule.allows(wall) != is_quiet, wall


def test_two_kinds_of_categories_and_every_number() -> None:
    rule = quiet.rule_of("quiet-queue", time(21), time(8))
    found = {
        word
        for word in ("marketing", "transactional", "otp", "emergency")
        if rule.concerns(number="+88213123456", country="001", category=word)
    }

    assert found == {"marketing", "transactional"}


@pytest.mark.parametrize(
    ("quiet_from", "quiet_until", "now", "opens"),
    [
        # On 29 March at 02:00 the clock is set to 03:00; on 25 October at 03:00 to 02:00.
        (time(21), time(2, 30), "2026-03-28T21:00", "2026-03-29T01:00"),
        (time(21), time(2, 30), "2026-10-24T21:00", "2026-10-25T00:30"),
        (time(2, 30), time(8), "2026-10-25T00:45", "2026-10-25T01:00"),  # 02:00 comes again, and is not quiet
        (time(22), time(0), "2026-11-30T21:30", "2026-11-30T23:00"),
    ],
)
def test_they_end_by_the_clock_on_the_wall(quiet_from: time, quiet_until: time, now: str, opens: str) -> None:
    rule = quiet.rule_of("quiet-owner", quiet_from, quiet_until)
    found = next_open([rule], [BERLIN], datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert found is not None
    assert found.at == datetime.fromisoformat(opens).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet_from", "quiet_until", "code"),
    [
        (time(21), None, "half_of_quiet_hours"),
        (None, time(8), "half_of_quiet_hours"),
        (time(8), time(8), "no_quiet_hours"),
        (time(21, 0, 30), time(8), "not_whole_minutes"),
        (time(21), time(8, 0, 0, 1), "not_whole_minutes"),
    ],
)
def test_what_are_no_quiet_hours(quiet_from: time | None, quiet_until: time | None, code: str) -> None:
    with pytest.raises(InvalidQuietHours) as error:
        quiet.check(quiet_from, quiet_until)

    assert error.value.code == code


def test_nothing_and_hours_are_fine() -> None:
    quiet.check(None, None)
    quiet.check(time(21), time(8))
