"""Business days: Monday to Friday, without the holidays of a calendar."""

from datetime import datetime, timedelta, tzinfo

from messaging.policy import calendars

SATURDAY = 5


def after(start: datetime, *, days: int, calendar: str, zone: tzinfo) -> datetime:
    """Return the same time of the day, so many business days later, as the clock in `zone` shows it.

    The day of `start` is not counted. `calendar` is a code as `calendars.is_holiday` takes it; empty, there are no holidays.
    """
    wall = start.astimezone(zone)
    left = days
    while left > 0:
        wall += timedelta(days=1)
        is_business_day = wall.weekday() < SATURDAY and not (calendar and calendars.is_holiday(calendar, wall.date()))
        left -= is_business_day
    return wall.astimezone(start.tzinfo)
