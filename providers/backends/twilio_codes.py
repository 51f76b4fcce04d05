"""Twilio's error codes and statuses: https://www.twilio.com/docs/api/errors."""

import re
from collections.abc import Mapping
from typing import Any

from providers.backends.payload import MAX_CODE_LENGTH, scalar
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    SendError,
    Unavailable,
)

STATUSES: Mapping[str, ReportedStatus] = {
    "queued": ReportedStatus.PROGRESS,
    "accepted": ReportedStatus.PROGRESS,
    "scheduled": ReportedStatus.PROGRESS,
    "sending": ReportedStatus.PROGRESS,
    "sent": ReportedStatus.SENT,
    "delivered": ReportedStatus.DELIVERED,
    "read": ReportedStatus.DELIVERED,
    "undelivered": ReportedStatus.UNDELIVERED,
    "failed": ReportedStatus.FAILED,
    "canceled": ReportedStatus.CANCELED,
}

INVALID_NUMBER_CODES = frozenset({21211, 21214, 21217, 21614, 30005, 30006})
OPTED_OUT_CODES = frozenset({21610})
CREDENTIAL_CODES = frozenset({20003, 20005})
RATE_LIMIT_CODES = frozenset({20429, 14107})
# The handset or a carrier failed, not the number: the message is undelivered even where the receipt says `failed`.
UNDELIVERED_CODES = frozenset({30003, 30004, 30007, 30008})
# Faults of the account or its set-up, which every text would meet. All other codes refuse one text to one recipient.
ACCOUNT_CODES: Mapping[int, str] = {
    20006: "access is denied",
    20008: "this resource does not accept test credentials",
    20404: "the account or its address does not exist",
    21603: "a sender is needed",
    21609: "the callback address is not accepted",
    21611: "the sender's queue is full",
    21701: "the messaging service does not exist",
    21703: "the messaging service has no sender",
    21705: "the messaging service is not valid",
    30001: "the account's queue is full",
    30002: "the account is suspended",
    63038: "the account's daily limit is reached",
}
# Twilio asks to repeat a request with this code. It says of 500 that a repeat may send the text twice.
SERVICE_UNAVAILABLE = (503, 20503)
RECEIPT_FAULTS: Mapping[int, ReportedStatus] = {
    **dict.fromkeys(INVALID_NUMBER_CODES, ReportedStatus.INVALID),
    **dict.fromkeys(OPTED_OUT_CODES, ReportedStatus.OPTED_OUT),
    **dict.fromkeys(UNDELIVERED_CODES, ReportedStatus.UNDELIVERED),
}
# The meaning of a status without a code that decides.
STATUS_ERRORS: Mapping[int, type[SendError]] = {401: CredentialsRefused, 402: OutOfCredit, 403: AccountRefused}
FAILED_STATUSES = frozenset({ReportedStatus.UNDELIVERED, ReportedStatus.FAILED})
_CODE = re.compile(r"[1-9][0-9]{4}")


def fault(status: int, given_code: object) -> SendError:  # noqa: PLR0911 (a table of classes)
    """The error for a response that does not accept. Uses only the status and the code: Twilio's text contains the number."""
    code = _code(given_code)
    named, detail = f"twilio_{code}", f"Twilio refused with {code or status}"
    if (status, code) == SERVICE_UNAVAILABLE:
        return Unavailable(f"{detail}: the service is unavailable")
    if not 400 <= status <= 499:  # noqa: PLR2004
        return OutcomeUnknown(f"Twilio answered {status}")
    if code in INVALID_NUMBER_CODES:
        return RecipientInvalid(detail)
    if code in OPTED_OUT_CODES:
        return RecipientOptedOut(detail)
    if code in RATE_LIMIT_CODES:
        return RateLimited(detail)
    if code in ACCOUNT_CODES:
        return Unavailable(f"{detail}: {ACCOUNT_CODES[code]}", code=named)
    if code in CREDENTIAL_CODES:
        return CredentialsRefused(detail)
    if status in STATUS_ERRORS:
        return STATUS_ERRORS[status](detail)
    return Refused(detail, code=named if code else None)


def report(message_id: str, raw_status: str, given_code: object) -> StatusReport:
    """The report of a message, from a receipt or from a lookup."""
    error_code = scalar(given_code)[:MAX_CODE_LENGTH]
    status = STATUSES.get(raw_status, ReportedStatus.UNRECOGNIZED)
    if status in FAILED_STATUSES:
        status = RECEIPT_FAULTS.get(_code(error_code), status)
    return StatusReport(message_id, status=status, raw_status=raw_status[:MAX_CODE_LENGTH], error_code=error_code)


def _code(value: Any) -> int:
    """Twilio's own code, or 0 without one: the SDK then puts the HTTP status in its place."""
    text = scalar(value)
    return int(text) if _CODE.fullmatch(text) else 0
