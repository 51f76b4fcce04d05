"""Delays before a failed callback is repeated, and when an endpoint is disabled."""

from datetime import timedelta
from typing import Final

from messaging.retry_policy import JITTER

DELAYS: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
DISABLED_AFTER: Final = timedelta(days=5)
OLD_SECRET_VALID_FOR: Final = timedelta(hours=24)


def next_delay(*, attempts: int, position: float, retry_after: float | None = None) -> float | None:
    """Seconds until the next attempt, or None when there is none left.

    `attempts` counts the attempts so far (1 or more); `position` in [0, 1) spreads the delay by up to ±20 %. The receiver's
    `retry_after` (seconds) may lengthen the delay, never shorten it.
    """
    if attempts > len(DELAYS):
        return None
    delay = DELAYS[attempts - 1] * (1 + JITTER * (2 * position - 1))
    return max(delay, retry_after or 0.0)
