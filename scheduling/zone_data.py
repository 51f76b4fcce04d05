"""The time zone data that every process uses: the pinned `tzdata` package, not the files of the operating system."""

import re
import zoneinfo
from datetime import date
from importlib import resources

import tzdata

# IANA names a release by its year and a letter: 2026f. Releases compare as text. A package that was published again with
# other data under the same name (2021.2.post0) is a newer release.
RELEASE = tzdata.IANA_VERSION + "".join(re.findall(r"\.post\d+", tzdata.__version__))


def use_pinned() -> None:
    """Make `zoneinfo` read the package first. Zones that were built before are built again when they are next asked for."""
    zoneinfo.reset_tzpath([str(resources.files(tzdata) / "zoneinfo")])
    zoneinfo.ZoneInfo.clear_cache()


def warning(today: date) -> str | None:
    """What to tell the operator about a release that is older than a year; None for a younger one.

    The name of a release has its year but no day. It counts as published in the middle of that year.
    """
    published = date(int(RELEASE[:4]), 7, 1)
    if today < published.replace(year=published.year + 1):
        return None
    return f"tzdata {RELEASE} is older than a year: raise its pin in requirements.txt and upgrade"
