"""Quiet hours of an owner or a queue: no texts between two wall times, every day, whatever else may be sent then."""

from datetime import time
from functools import lru_cache

from messaging.policy.hours import HELD_CATEGORIES, MINUTES_OF_DAY, WEEK, Day, Rule

# The ids that their rules have in the words for users. No rule of hours has one of them.
OWNER_RULE, QUEUE_RULE = "quiet-owner", "quiet-queue"
RULE_IDS = frozenset({OWNER_RULE, QUEUE_RULE})


class InvalidQuietHours(ValueError):
    """`code` is for programs; the text can be shown to users."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def check(quiet_from: time | None, quiet_until: time | None) -> None:
    """Raises `InvalidQuietHours` for one wall time alone, for hours without a length, and for parts of a minute."""
    if (quiet_from is None) != (quiet_until is None):
        raise InvalidQuietHours("half_of_quiet_hours", "Set the beginning and the end of quiet hours, or neither.")
    if quiet_from is None or quiet_until is None:
        return
    if any(each.second or each.microsecond for each in (quiet_from, quiet_until)):
        raise InvalidQuietHours("not_whole_minutes", "Quiet hours begin and end with a whole minute.")
    if quiet_from == quiet_until:
        raise InvalidQuietHours("no_quiet_hours", "Quiet hours end at another time than they begin.")


@lru_cache(maxsize=10_000)
def rule_of(rule_id: str, quiet_from: time, quiet_until: time) -> Rule:
    """The rule that allows all but these hours, for all numbers and every category that can be held."""
    return Rule(
        id=rule_id,
        name="Quiet hours",
        categories=HELD_CATEGORIES,
        hours=(_allowed(_minutes(quiet_from), _minutes(quiet_until)),) * WEEK,
    )


def _allowed(quiet_from: int, quiet_until: int) -> Day:
    """Of each day, what is not quiet. Quiet hours that end before they begin cross midnight."""
    if quiet_until < quiet_from:
        return ((quiet_until, quiet_from),)
    spans = ((0, quiet_from), (quiet_until, MINUTES_OF_DAY))
    return tuple((opens, closes) for opens, closes in spans if opens < closes)


def _minutes(wall: time) -> int:
    return wall.hour * 60 + wall.minute
