"""Time zone data of all processes: the pinned `tzdata` package instead of the files of the operating system."""

import re
import zoneinfo
from datetime import date
from pathlib import Path

import tzdata

# An IANA release is named by year and letter (2026f); releases compare as text. A package republished with other data under
# the same name (2021.2.post0) is a newer release.
RELEASE = tzdata.IANA_VERSION + "".join(re.findall(r"\.post\d+", tzdata.__version__))


def use_pinned() -> None:
    """Make `zoneinfo` read the package first. Clears its cache, so zones are read again at their next use."""
    zoneinfo.reset_tzpath([str(Path(tzdata.__file__).with_name("zoneinfo"))])
    zoneinfo.ZoneInfo.clear_cache()


def warning(today: date) -> str | None:
    """Return a warning for the operator if the release is older than a year.

    A release's name has a year but no date, so it counts as published on 1 July of that year.
    """
    published = date(int(RELEASE[:4]), 7, 1)
    if today < published.replace(year=published.year + 1):
        return None
    return f"tzdata {RELEASE} is older than a year: raise its pin in requirements.txt and upgrade"
