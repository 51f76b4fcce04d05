"""The errors and events of AWS End User Messaging SMS, whose API is called `pinpoint-sms-voice-v2`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from providers.backends.payload import MAX_CODE_LENGTH, MAX_ID_LENGTH, at_path, read_json, scalar
from providers.contract.callbacks import ReportedStatus, StatusReport
from providers.contract.prices import read_price
from providers.errors import (
    AccountRefused,
    CredentialsRefused,
    MalformedCallback,
    OutcomeUnknown,
    OutOfCredit,
    RateLimited,
    RecipientInvalid,
    RecipientOptedOut,
    Refused,
    SendError,
    Unavailable,
)
from providers.http.transport import HttpResponse

# https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html
EVENTS: Mapping[str, ReportedStatus] = {
    "TEXT_QUEUED": ReportedStatus.PROGRESS,
    "TEXT_PENDING": ReportedStatus.PROGRESS,
    "TEXT_SENT": ReportedStatus.SENT,
    "TEXT_SUCCESSFUL": ReportedStatus.SENT,
    "TEXT_DELIVERED": ReportedStatus.DELIVERED,
    "TEXT_INVALID": ReportedStatus.INVALID,
    "TEXT_INVALID_MESSAGE": ReportedStatus.FAILED,
    "TEXT_UNREACHABLE": ReportedStatus.UNDELIVERED,
    "TEXT_CARRIER_UNREACHABLE": ReportedStatus.UNDELIVERED,
    "TEXT_BLOCKED": ReportedStatus.UNDELIVERED,
    "TEXT_CARRIER_BLOCKED": ReportedStatus.UNDELIVERED,
    "TEXT_SPAM": ReportedStatus.UNDELIVERED,
    "TEXT_TTL_EXPIRED": ReportedStatus.UNDELIVERED,
    "TEXT_PROTECT_BLOCKED": ReportedStatus.FAILED,
    # After 72 hours without a word from the carrier: nothing is known, so nothing changes.
    "TEXT_UNKNOWN": ReportedStatus.PROGRESS,
}
# "Message has been accepted by phone carrier". In countries where it is final, no TEXT_DELIVERED follows.
SUCCESSFUL = "TEXT_SUCCESSFUL"
# The key of our message's id in the context that AWS repeats in events.
REFERENCE_KEY = "switchboard"

THROTTLED = frozenset(
    {"ThrottlingException", "ThrottledException", "RequestThrottledException", "TooManyRequestsException"}
)
BAD_CREDENTIALS = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
SERVICE_UNAVAILABLE = frozenset({"ServiceUnavailable", "ServiceUnavailableException"})
# By the `Reason` of an error. All other reasons refuse one text to one recipient.
REASONS: Mapping[str, type[SendError]] = {
    "ACCOUNT_DISABLED": CredentialsRefused,
    "INSUFFICIENT_ACCOUNT_REPUTATION": CredentialsRefused,
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": RecipientOptedOut,
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": OutOfCredit,
}
# The meaning of an error or a status without a reason that decides.
ERRORS: Mapping[str, type[SendError]] = {"AccessDeniedException": AccountRefused}
STATUSES: Mapping[int, type[SendError]] = {401: CredentialsRefused, 402: OutOfCredit, 403: AccountRefused}
# Reasons that say that a field has a wrong value; where the only such field is the recipient, the number is invalid.
WRONG_VALUE = frozenset({"CANNOT_PARSE", "FIELD_VALIDATION_FAILED", "INVALID_PARAMETER"})
RECIPIENT_FIELD = "DestinationPhoneNumber"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,80}")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def fault(response: HttpResponse) -> SendError:
    """The error for a response that does not accept. Uses only names: AWS's text may contain the number.

    A 500 is unknown, although AWS's own clients repeat it: the API has no key by which AWS would recognise a repeat.
    """
    status, content = response.status, _content(response)
    name, reason = _name(response, content), _named(at_path(content, "Reason"))
    detail = f"AWS refused with {reason or name or status}"
    if name in THROTTLED or status == 429:  # noqa: PLR2004
        return RateLimited("AWS limits the rate", retry_after=response.retry_after(datetime.now(UTC)))
    if status == 503 and name in SERVICE_UNAVAILABLE:  # noqa: PLR2004
        return Unavailable("AWS is unavailable", retry_after=response.retry_after(datetime.now(UTC)))
    if not 400 <= status <= 499:  # noqa: PLR2004
        return OutcomeUnknown(f"AWS answered {status}")
    if name in BAD_CREDENTIALS:
        return CredentialsRefused(detail)
    if reason in WRONG_VALUE and _fields(content) == {RECIPIENT_FIELD}:
        return RecipientInvalid(detail)
    kind = REASONS.get(reason) or ERRORS.get(name) or STATUSES.get(status)
    return kind(detail) if kind else Refused(detail, code=_error_code(reason or name))


def report(message: str) -> StatusReport:
    """The report of one event. Raises `MalformedCallback`."""
    try:
        event = read_json(message.encode())
    except ValueError:
        raise MalformedCallback("the event cannot be read") from None
    message_id, raw_status = scalar(at_path(event, "messageId")), scalar(at_path(event, "eventType"))
    if not message_id or len(message_id) > MAX_ID_LENGTH or not raw_status:
        raise MalformedCallback("the event names no message or no type")
    status = EVENTS.get(raw_status, ReportedStatus.UNRECOGNIZED)
    if raw_status == SUCCESSFUL and at_path(event, "isFinal") is True:
        status = ReportedStatus.DELIVERED
    reference = scalar(at_path(event, f"context.{REFERENCE_KEY}"))[:MAX_ID_LENGTH]
    price = read_price([at_path(event, "totalMessagePrice")])
    return StatusReport(message_id, status, raw_status[:MAX_CODE_LENGTH], reference=reference, price=price)


def _content(response: HttpResponse) -> Any:
    try:
        return read_json(response.body)
    except ValueError:
        return None


def _name(response: HttpResponse, content: Any) -> str:
    """The name of the error: `ThrottlingException` in `com.amazonaws.sms#ThrottlingException:http://…`."""
    given = scalar(at_path(content, "__type")) or scalar(response.headers.get("x-amzn-errortype"))
    return _named(given.partition(":")[0].rpartition("#")[2])


def _named(value: Any) -> str:
    text = scalar(value)
    return text if _NAME.fullmatch(text) else ""


def _fields(content: Any) -> set[str]:
    fields = at_path(content, "Fields")
    return {scalar(at_path(field, "Name")) for field in fields} if isinstance(fields, list) else set()


def _error_code(name: str) -> str | None:
    words = _WORD_START.sub("_", name.removesuffix("Exception")).lower()
    return f"aws_{words}"[:MAX_CODE_LENGTH] if words else None
