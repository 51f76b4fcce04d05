"""Business days, counted by the clock of a zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from messaging.policy import business_days

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("start", "calendar", "expected"),
    [
        ("2027-03-01T15:00", "", "2027-03-15T15:00"),  # Monday
        ("2027-03-06T15:00", "", "2027-03-19T15:00"),  # a Saturday: Monday is the first day
        ("2027-03-07T15:00", "", "2027-03-19T15:00"),
        ("2026-12-18T09:00", "US", "2027-01-05T09:00"),  # without Christmas and New Year
        ("2026-12-18T09:00", "", "2027-01-01T09:00"),
        ("2026-06-25T09:00", "US", "2026-07-10T09:00"),  # 4 July is a Saturday, kept on the Friday
    ],
)
def test_weekends_and_holidays_are_not_counted(start: str, calendar: str, expected: str) -> None:
    found = business_days.after(
        datetime.fromisoformat(start).replace(tzinfo=UTC), days=10, calendar=calendar, zone=ZoneInfo("UTC")
    )

    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_the_time_on_the_wall_stays_when_clocks_change_and_the_day_is_that_of_the_zone() -> None:
    start = datetime(2027, 3, 6, 3, 0, tzinfo=UTC)  # Friday at 21:00 in Chicago

    found = business_days.after(start, days=10, calendar="US", zone=CHICAGO)

    assert found == datetime(2027, 3, 20, 2, 0, tzinfo=UTC)  # Friday at 21:00, in summer time
