"""Times of SMPP 3.4, section 7.1.1: `YYMMDDhhmmsstnnp`, absolute with a distance from UTC, or relative."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_TIME = re.compile(r"(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d)(\d{2})([+\-R])", re.ASCII)
_MOST_QUARTERS: Final = 48
_CENTURY: Final = 2000
_DAYS_OF_YEAR, _DAYS_OF_MONTH = 365, 30


def read(text: str, *, now: datetime) -> datetime:
    """The time in UTC; relative times count from `now`. Raises `ValueError`."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a time of SMPP")
    year, month, day, hour, minute, second, tenth, quarters = map(int, found.groups()[:-1])
    if found[9] == "R":
        days = _DAYS_OF_YEAR * year + _DAYS_OF_MONTH * month + day
        return now + timedelta(days=days, hours=hour, minutes=minute, seconds=second)
    if quarters > _MOST_QUARTERS:
        raise ValueError("too far from UTC")
    local = datetime(_CENTURY + year, month, day, hour, minute, second, tenth * 100_000, tzinfo=UTC)
    distance = timedelta(minutes=15 * quarters)
    return local - distance if found[9] == "+" else local + distance


def write(time: datetime) -> str:
    """The absolute time, in UTC."""
    return f"{time.astimezone(UTC):%y%m%d%H%M%S}000+"
