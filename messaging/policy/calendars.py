"""Public holidays by the tables of the `holidays` library, which is imported when a rule needs them for the first time."""

import re
import threading
from collections.abc import Container
from datetime import date
from functools import cache
from importlib import import_module
from typing import cast

_CODE = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,10}))?", re.ASCII)
# A table makes a year's days when it is asked for the first of them. Meanwhile another thread would find only some of them.
_LOCK = threading.Lock()


def is_holiday(calendar: str, day: date) -> bool:
    """`calendar` is a country such as `FR`, or one of its parts such as `DE-BY`."""
    table = _table(calendar)
    with _LOCK:
        return day in table


def is_calendar(code: str) -> bool:
    found = _CODE.fullmatch(code)
    if found is None:
        return False
    try:
        _table(code)
    except NotImplementedError:  # the library's word for a country or a part that it does not know
        return False
    return True


@cache
def _table(calendar: str) -> Container[date]:
    country, _, part = calendar.partition("-")
    library = import_module("holidays")
    return cast("Container[date]", library.country_holidays(country, subdiv=part or None))
