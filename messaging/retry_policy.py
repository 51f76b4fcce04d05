"""When a message that no provider took is tried again."""

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0)
JITTER = 0.2
MAX_RETRY_AFTER = 3600.0
NO_ACCOUNT_DELAY = 30.0


def next_delay(*, rounds_failed: int, position: float, retry_after: float | None = None) -> float | None:
    """Seconds until the next round, or None when there is none left.

    `rounds_failed` counts the rounds that have failed so far, this one included (1 or more); `position` in [0, 1) spreads
    the delay by up to ±20 %. A provider's own wish (`retry_after`, seconds) wins over the table, bounded by an hour.
    """
    if rounds_failed > len(DELAYS):
        return None
    if retry_after is not None:
        return min(max(retry_after, 0.0), MAX_RETRY_AFTER)
    return DELAYS[rounds_failed - 1] * (1 + JITTER * (2 * position - 1))
