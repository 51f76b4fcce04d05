"""The country and the time zones of a phone number, by libphonenumber's tables and the pinned `tzdata`."""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from phonenumbers.phonenumberutil import region_code_for_country_code
from phonenumbers.timezone import time_zones_for_number

NO_REGION = "ZZ"
_ZONE_FILES = files("tzdata.zoneinfo")


@dataclass(frozen=True, slots=True)
class NumberLocation:
    """`country` has two letters, `001` for a number of no country, or none; `zones` are IANA names, none if unknown."""

    country: str
    zones: tuple[str, ...]


@lru_cache(maxsize=10_000)
def location_of(number: str) -> NumberLocation:
    """Where a number in E.164 belongs. A mobile number may belong to several zones: those with the same rules count as one.

    A number that is not assigned belongs to the main country of its calling code, so that the country's rules hold for it.
    """
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return NumberLocation("", ())
    country = phonenumbers.region_code_for_number(parsed) or region_code_for_country_code(parsed.country_code or 0)
    return NumberLocation("" if country == NO_REGION else country, merged(time_zones_for_number(parsed)))


@lru_cache(maxsize=500)
def merged(names: tuple[str, ...]) -> tuple[str, ...]:
    """The known ones of these zones, each set of identical ones once, by name.

    Its name is that of IANA, unless this would name another part of the world: `Asia/Calcutta` is `Asia/Kolkata`, but
    `Indian/Christmas` is not called `Asia/Bangkok`.
    """
    links, found = _links(), dict[bytes, str]()
    for name in sorted({*names} & _known()):
        proper = links.get(name, name)
        if proper in names or proper.partition("/")[0] == name.partition("/")[0]:
            found[_rules_of(name)] = proper
        else:
            found.setdefault(_rules_of(name), name)
    return tuple(sorted(found.values()))


@cache
def zone(name: str) -> ZoneInfo:
    """Raises `ValueError` for a name that is none."""
    if name not in _known():
        raise ValueError(f"{name!r} is no time zone")
    return ZoneInfo(name)


def is_zone(name: str) -> bool:
    return name in _known()


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


@cache
def _links() -> dict[str, str]:
    """By an old or local name, that of the zone: `Asia/Calcutta` is `Asia/Kolkata`."""
    lines = _ZONE_FILES.joinpath("tzdata.zi").read_text("utf-8").splitlines()
    pairs = (line.split()[1:] for line in lines if line.startswith("L "))
    return {alias: name for name, alias in pairs}


@cache
def _rules_of(name: str) -> bytes:
    return _ZONE_FILES.joinpath(name).read_bytes()
