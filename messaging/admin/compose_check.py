"""The result of *Check* on the page to write a message: every verdict in words."""

from typing import Any

from messaging.policy.hours import OUTSIDE_HOURS
from messaging.policy.prefixes import PREFIX_BLOCKED, PREFIX_HELD
from messaging.policy.velocity import RECIPIENT_RATE_EXCEEDED, VELOCITY_EXCEEDED
from messaging.services.outbound.dry_run import CheckResult, CheckVerdict, DryRun

HEADINGS = {
    CheckVerdict.PASSED: "This message would be sent now.",
    CheckVerdict.HELD: "This message would wait, and be sent then.",
    CheckVerdict.REFUSED: "This message would not be sent.",
}
# What a check asks, by its code.
QUESTIONS = {
    "canceled": "Not canceled",
    "expired": "Still valid",
    "erased": "Text not erased",
    "recipient_inactive": "The number is active",
    "recipient_opted_out": "The recipient has not opted out",
    "sender_not_allowed_in_country": "The recipient's country takes this sender",
    "text_unreadable": "The text can be read",
    PREFIX_BLOCKED: "Texts to this number are allowed",
    RECIPIENT_RATE_EXCEEDED: "The recipient may get another text within this hour",
    VELOCITY_EXCEEDED: "The velocity limits have room for it",
    PREFIX_HELD: "Codes to this prefix are not held",
    OUTSIDE_HOURS: "It is an hour in which it may be sent",
    "budget_exceeded": "The budgets have room for it",
    "no_route": "A provider account takes it",
}
# Not shown when passed: they hold for every message that is not stored yet, or are of limits that most installations lack.
OBVIOUS = frozenset(
    {
        *("canceled", "expired", "erased", "text_unreadable", "verification_ended"),
        *(RECIPIENT_RATE_EXCEEDED, VELOCITY_EXCEEDED, PREFIX_HELD),
    }
)
ICONS = {CheckVerdict.PASSED: "check_circle", CheckVerdict.HELD: "schedule", CheckVerdict.REFUSED: "block"}


def check_panel(found: DryRun) -> dict[str, Any]:
    return {
        "heading": HEADINGS[found.verdict],
        "verdict": str(found.verdict),
        "warnings": [warning.detail for warning in found.warnings],
        "lines": [_line(check) for check in found.checks if _is_shown(check)],
        "routes": [
            {"provider": option.slug, "share": f"{option.share:.0%}" if option.share else "", "reason": option.reason}
            for option in found.options
        ],
        "smart_encoding": _smart_encoding(found),
        "country": found.country,
        "time_zones": ", ".join(found.time_zones),
        "price": None if found.price is None else f"{found.price.normalize():f} {found.currency}".strip(),
    }


def _smart_encoding(found: DryRun) -> str:
    """What it would save; empty if nothing."""
    saved = found.size.segments - found.smart_segments
    if not saved:
        return ""
    return f"It would save {saved} of {found.size.segments} segments."


def _is_shown(check: CheckResult) -> bool:
    return check.verdict is not CheckVerdict.PASSED or check.code not in OBVIOUS


def _line(check: CheckResult) -> dict[str, Any]:
    return {
        "icon": ICONS[check.verdict],
        "tone": str(check.verdict),
        "title": QUESTIONS.get(check.code, check.code),
        "code": check.code,
        "detail": check.detail,
        "until": check.until,
    }
