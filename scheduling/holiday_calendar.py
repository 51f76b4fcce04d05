"""Public holidays of countries and their regions, by the library `holidays`: `DE`, `DE-BY`, `US-CA`.

The library and one country take 16 MB and a fifth of a second, so a process loads them at the first schedule that has a
calendar, and each country at its first use.
"""

import difflib
import logging
from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

logger = logging.getLogger(__name__)

MAX_CODE = 40
# The library computes Easter for any year, but knows or estimates other calendars for about this long.
YEARS = range(1970, 2101)
_SUGGESTED = 0.5  # the least likeness of a suggested code
_NONE: Mapping[date, str] = MappingProxyType({})


class UnknownCalendar(ValueError):
    """The text can be shown to users."""


def check(code: str) -> str:
    """Return the calendar's code as the library writes it; case does not matter. Raises `UnknownCalendar`."""
    country, _, region = code.strip().partition("-")
    country = country.upper()
    if country not in countries():
        raise UnknownCalendar(f"There is no holiday calendar {code[:MAX_CODE]}.{_nearest(country, list(countries()))}")
    if not region:
        return country
    found = {known.upper(): known for known in regions(country)}.get(region.upper())
    if found is None:
        near = _nearest(code.upper(), [f"{country}-{known}" for known in regions(country)]) or (
            f" Give {country} for the whole country."
        )
        raise UnknownCalendar(f"There is no holiday calendar {code[:MAX_CODE]}.{near}")
    return f"{country}-{found}"


def fault(code: str) -> str:
    """Return what is wrong with a stored code: a release of the library may have dropped or renamed a region. "" if nothing."""
    try:
        check(code)
    except UnknownCalendar as error:
        return str(error)
    return ""


def name_on(code: str, day: date) -> str:
    """Return the name of the holiday of that day, "" for none. Days on which a holiday is observed count as well.

    A region that the library no longer has counts as its country, and an unknown country has no holidays; both are logged.
    """
    return _year(code, day.year).get(day, "") if day.year in YEARS else ""


@cache
def countries() -> Mapping[str, str]:
    """Return the names of the countries by code, without loading any of them."""
    modules = import_module("holidays.registry").COUNTRIES.values()
    return MappingProxyType(dict(sorted((code, _words(name)) for name, code, *_ in modules)))


@lru_cache(maxsize=64)
def regions(country: str) -> Mapping[str, str]:
    """Return the names of a country's regions by code; a region without another name has its code. `country` is known."""
    found = _calendar(country, "", None)
    aliases = found.get_subdivision_aliases()
    return MappingProxyType({code: (aliases.get(code) or [code])[0] for code in found.subdivisions})


@lru_cache(maxsize=1024)
def _year(code: str, year: int) -> Mapping[date, str]:
    # A calendar of the library adds years to itself while it is read, which threads must not share: one for each year.
    known = _usable(code)
    if not known:
        return _NONE
    country, _, region = known.partition("-")
    return MappingProxyType(dict(_calendar(country, region, year).items()))


@lru_cache(maxsize=256)
def _usable(code: str) -> str:
    country = code.partition("-")[0]
    problem = fault(code)
    if not problem:
        return check(code)
    logger.error("schedules use an unknown holiday calendar: %s", problem)
    return country if country in countries() else ""


def _calendar(country: str, region: str, year: int | None) -> Any:  # Any: the library is loaded at run time
    return _library().country_holidays(
        country, subdiv=region or None, years=year, expand=False, observed=True, language="en_US"
    )


@cache
def _library() -> ModuleType:
    return import_module("holidays")


def _nearest(code: str, known: list[str]) -> str:
    [near] = difflib.get_close_matches(code, known, n=1, cutoff=_SUGGESTED) or [""]
    return f" Did you mean {near}?" if near else ""


def _words(name: str) -> str:
    """`UnitedStates` is United States."""
    return "".join(f" {letter}" if letter.isupper() and index else letter for index, letter in enumerate(name))
