"""Delays before a message that no provider accepted is tried again."""

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0)
JITTER = 0.2
MAX_RETRY_AFTER = 3600.0
NO_ACCOUNT_DELAY = 30.0
# The error code of a message that waits for an account: it was not tried, and no later message waits for it.
WAITING_FOR_PROVIDER = "waiting_for_provider"


def next_delay(*, rounds_failed: int, position: float, retry_after: float | None = None) -> float | None:
    """Seconds until the next round, or None when there is none left.

    `rounds_failed` counts the failed rounds, including this one (1 or more); `position` in [0, 1) spreads the delay by up to
    ±20 %. A provider's `retry_after` (seconds) replaces the delay of the table, up to one hour.
    """
    if rounds_failed > len(DELAYS):
        return None
    if retry_after is not None:
        return min(max(retry_after, 0.0), MAX_RETRY_AFTER)
    return DELAYS[rounds_failed - 1] * (1 + JITTER * (2 * position - 1))
