"""How long a provider may keep a message, for providers that can be told."""

import math
from datetime import datetime


def seconds_left(valid_until: datetime | None, *, now: datetime, shortest: int, longest: int) -> int | None:
    """The whole seconds until `valid_until`, within the provider's limits; None for a message without an end.

    Rounded down, so that the provider never sends after the end. The dispatcher calls no account after it.
    """
    if valid_until is None:
        return None
    return min(max(math.floor((valid_until - now).total_seconds()), shortest), longest)
