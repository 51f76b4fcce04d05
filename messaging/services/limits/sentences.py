"""Why a message is refused or held by a limit, in words for users."""

from math import ceil

from messaging.policy.velocity import HOUR, Exceeded, Scope

SENTENCES = {
    Scope.RECIPIENT: "This recipient has had {limit} texts from you within an hour, the limit.",
    Scope.RECIPIENT_OF_ALL: "This recipient has had {limit} texts within an hour, the limit of all clients together.",
    Scope.NEW_RECIPIENTS: "{limit} different recipients within a minute are the limit.",
    Scope.CALLING_CODE: "{limit} texts within an hour to this country's calling code are the limit.",
}


def of_velocity(exceeded: Exceeded) -> str:
    seconds = retry_after(exceeded)
    wait = f"{seconds} s" if seconds < 120 else f"{ceil(seconds / 60)} min"  # noqa: PLR2004 (two minutes)
    return f"{SENTENCES[exceeded.scope].format(limit=exceeded.limit)} Try again in {wait}."


def retry_after(exceeded: Exceeded) -> int:
    """In whole seconds, at least 1."""
    return min(max(1, ceil(exceeded.wait)), HOUR * 2)


def of_block(reason: str) -> str:
    return f"Texts to this number are not allowed: {reason}."


def of_hold(prefix: str) -> str:
    return f"Held: codes to {prefix} wait until staff have looked at an alert of SMS pumping."
