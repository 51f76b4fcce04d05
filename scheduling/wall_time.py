"""Wall time in a zone, and the moment it stands for."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_NOT_PLACES = frozenset({"Factory", "localtime"})
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


class UnknownZone(ValueError):
    """The text is for people."""


def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name, written exactly so. Anything else raises `UnknownZone`: no path, no abbreviation."""
    if not isinstance(name, str) or name not in _names():
        raise UnknownZone("There is no such time zone; give an IANA name such as Europe/Berlin.")
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    # ZoneInfo opens whatever file the name leads to; the list is the only safe question.
    return frozenset(available_timezones() - _NOT_PLACES)


def to_utc(wall: datetime, tz: ZoneInfo) -> datetime:
    """The moment of a naive wall time, aware and in UTC.

    A wall time that the zone skips stands for the first moment after the gap, one that occurs twice for the first of the
    two. Moments before year 1 or after year 9999 become the first or last one there is. A later wall time never gives an
    earlier moment.
    """
    local = wall.replace(tzinfo=tz, fold=0)
    first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    try:
        if first >= second:
            return (wall - first).replace(tzinfo=UTC, fold=0)
        return _end_of_gap((wall - second).replace(tzinfo=UTC, fold=0), second - first, tz)
    except OverflowError:
        return _FIRST_MOMENT if wall.year == 1 else _LAST_MOMENT


def _end_of_gap(before: datetime, gap: timedelta, tz: ZoneInfo) -> datetime:
    """The change of offset lies after `before` and within `gap` of it, on a whole second: found by halving."""
    low = before.replace(microsecond=0)
    offset = low.astimezone(tz).utcoffset()
    near, far = 0, int(gap.total_seconds()) + 1
    while far - near > 1:
        middle = (near + far) // 2
        if (low + timedelta(seconds=middle)).astimezone(tz).utcoffset() == offset:
            near = middle
        else:
            far = middle
    return low + timedelta(seconds=far)
