"""Twilio's integer error codes: what our errors of a message are in its words. https://www.twilio.com/docs/api/errors."""

import re
from collections.abc import Mapping

from messaging.states import Status

UNKNOWN_ERROR = 30008
# The error of a message is told once it has ended badly; before that, it is only the reason of a wait.
_TOLD_OF = frozenset({Status.FAILED, Status.UNDELIVERED})
_TWILIOS_OWN = re.compile(r"twilio_([1-9][0-9]{4})")

CODES: Mapping[str, int] = {
    "recipient_opted_out": 21610,
    "recipient_invalid": 30006,
    "recipient_inactive": 30005,
    "undelivered": 30003,
    "no_route": 21408,
    "prefix_blocked": 21408,
    "expired": 30036,
    "media_too_large": 30019,
    "media_type_refused": 12300,
    "provider_refused": 30007,
    "provider_rejected": 30007,
    "provider_rate_limited": 30022,
    "provider_credentials_refused": 30002,
    "provider_credit": 30002,
    "provider_misconfigured": 30002,
    "provider_unavailable": 30009,
    "provider_not_called": 30009,
}


def message_error(status: str, error_code: str) -> int | None:
    """The code of a message with one of our statuses and our error code; None unless it has ended badly."""
    if status not in _TOLD_OF:
        return None
    theirs = _TWILIOS_OWN.fullmatch(error_code)  # as a Twilio account of ours has reported it
    return int(theirs[1]) if theirs else CODES.get(error_code, UNKNOWN_ERROR)
