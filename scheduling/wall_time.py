"""Converts wall times in a zone to UTC."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from tzlocal.windows_tz import win_tz

_NOT_ZONES = frozenset({"Factory", "localtime"})
_FIRST_UTC = datetime.min.replace(tzinfo=UTC)
_LAST_UTC = datetime.max.replace(tzinfo=UTC)


class UnknownZone(ValueError):
    """The text can be shown to users."""


def zone(name: object) -> ZoneInfo:
    """Return the zone with exactly this IANA name, or with this name of Windows, as Outlook writes it, by CLDR's table.

    Raises `UnknownZone` for anything else, such as paths.
    """
    names = _names()
    found = win_tz.get(name) if isinstance(name, str) and name not in names else name
    if not isinstance(found, str) or found not in names:
        raise UnknownZone("There is no such time zone; give an IANA name such as Europe/Berlin.")
    return ZoneInfo(found)


def zone_of_any_case(name: str) -> ZoneInfo:
    """Return the zone of a TZID, whose case other programs do not always keep. Raises `UnknownZone`."""
    return zone(_by_folded_name().get(name.casefold(), name))


@cache
def _by_folded_name() -> dict[str, str]:
    return {name.casefold(): name for name in (*win_tz, *_names())}


@cache
def _names() -> frozenset[str]:
    # `ZoneInfo(name)` opens any file that the name leads to, so names are checked against this list first.
    return frozenset(available_timezones() - _NOT_ZONES)


def to_utc(wall: datetime, tz: ZoneInfo) -> datetime:
    """Convert a naive wall time to UTC.

    A wall time that the zone skips becomes the end of the gap, one that occurs twice the first of the two. Times before year 1
    or after year 9999 become the first or last possible datetime. A later wall time never becomes an earlier time in UTC.
    """
    local = wall.replace(tzinfo=tz, fold=0)
    first, second = _offset(local), _offset(local.replace(fold=1))
    try:
        if first >= second:
            return (wall - first).replace(tzinfo=UTC, fold=0)
        return _end_of_gap((wall - second).replace(tzinfo=UTC, fold=0), second - first, tz)
    except OverflowError:
        return _FIRST_UTC if wall.year == 1 else _LAST_UTC


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()  # None only for a naive datetime


def _end_of_gap(before: datetime, gap: timedelta, tz: ZoneInfo) -> datetime:
    """Bisect for the change of offset, which is on a whole second after `before` and at most `gap` later."""
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
