"""The category of a message: what it is for, which decides when it may be sent and what goes before it."""

import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum

MAX_PARAMETERS = 10
MAX_PARAMETER = 200
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)


class Category(StrEnum):
    TRANSACTIONAL = "transactional"
    OTP = "otp"  # a one-time password: goes first, and is worthless once it has expired
    MARKETING = "marketing"
    EMERGENCY = "emergency"  # goes first, at any hour; needs a permission of its own


class Priority(IntEnum):
    """The order within a queue; a message never waits for one behind it, not even for an older one to the same number."""

    FIRST = 0
    NORMAL = 1
    BULK = 2


GOES_FIRST = frozenset({Category.OTP, Category.EMERGENCY})


def priority_of(category: str, *, is_bulk: bool) -> Priority:
    """`is_bulk` is for the messages of a schedule's run: even an emergency to thousands goes behind one-time passwords."""
    if is_bulk:
        return Priority.NORMAL if category in GOES_FIRST else Priority.BULK
    return Priority.FIRST if category in GOES_FIRST else Priority.NORMAL


class InvalidParameters(ValueError):
    """`name` is the parameter at fault, or empty; the text can be shown to users."""

    def __init__(self, detail: str, *, name: str = "") -> None:
        super().__init__(detail)
        self.name = name


def check_parameters(given: Mapping[object, object]) -> dict[str, str]:
    """What the carrier is told beside the text, such as India's `entity_id` and `template_id`. Raises `InvalidParameters`."""
    if len(given) > MAX_PARAMETERS:
        raise InvalidParameters(f"There are at most {MAX_PARAMETERS} parameters.")
    checked: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _PARAMETER_NAME.fullmatch(name):
            raise InvalidParameters("A name has at most 40 letters, digits and underscores, and starts with no digit.")
        if not isinstance(value, str) or not value or len(value) > MAX_PARAMETER or not value.isprintable():
            raise InvalidParameters(f"A value is a text of 1 to {MAX_PARAMETER} printable characters.", name=name)
        checked[name] = value
    return checked
