"""Every error of this API, in one table, in the form that Twilio's SDKs read. The numbers are Twilio's."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from messaging.database_faults import drop_connection, may_pass
from messaging.encryption import CannotBeOpened
from messaging.services import errors
from messaging.services.twilio.errors import MediaNotFetched, MediaUnavailable, MessageInProgress

logger = logging.getLogger(__name__)

REALM = {"WWW-Authenticate": 'Basic realm="Twilio API"'}
TRY_AGAIN = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True)
class TwilioFault:
    status: int
    code: int
    message: str


AUTHENTICATE = TwilioFault(401, 20003, "Authenticate")
ACCESS_DENIED = TwilioFault(403, 20006, "Access Denied: the user lacks a permission.")
NOT_FOUND = TwilioFault(404, 20404, "The requested resource was not found")
METHOD_NOT_ALLOWED = TwilioFault(405, 20004, "Method not allowed")
IN_PROGRESS = TwilioFault(409, 20009, "The message has not ended; it can be neither deleted nor redacted yet.")
CONFLICT = TwilioFault(409, 20409, "The idempotency key was used for another request.")
BAD_REQUEST = TwilioFault(400, 20001, "The request is not valid.")
BODY_TOO_LARGE = TwilioFault(413, 20413, "The body is too large.")
UNSUPPORTED = TwilioFault(415, 20415, "Send a form (application/x-www-form-urlencoded) or JSON.")
TOO_MANY = TwilioFault(429, 20429, "Too Many Requests")
SERVER_ERROR = TwilioFault(500, 20500, "An internal server error has occurred")
UNAVAILABLE = TwilioFault(503, 20503, "Service unavailable; try again in a moment.")

BAD_URL = TwilioFault(400, 21402, "The URL is not one that is called.")
INVALID_TO = TwilioFault(400, 21211, "The 'To' number is not a valid phone number.")
INVALID_FROM = TwilioFault(400, 21212, "The 'From' number is not a valid phone number, short code, or name.")
NO_PERMISSION = TwilioFault(400, 21408, "Permission to send an SMS has not been enabled for the 'To' number.")
NO_CONTENT = TwilioFault(400, 21602, "Message body is required.")
NO_FROM = TwilioFault(400, 21603, "A 'From' phone number is required.")
NO_TO = TwilioFault(400, 21604, "A 'To' phone number is required.")
FROM_NOT_ALLOWED = TwilioFault(400, 21606, "The 'From' sender is not one of your senders.")
BAD_CALLBACK = TwilioFault(400, 21609, "The 'StatusCallback' URL is not one that is called.")
OPTED_OUT = TwilioFault(400, 21610, "Attempt to send to unsubscribed recipient")
UNREACHABLE = TwilioFault(400, 21612, "The 'To' number cannot be reached from this 'From', or not with media.")
NOT_MOBILE = TwilioFault(400, 21614, "The 'To' number is inactive: it was reported as invalid.")
BODY_TOO_LONG = TwilioFault(400, 21617, "The message body exceeds the limit of 1600 characters, or of 10 segments.")
BAD_MEDIA_URL = TwilioFault(400, 21620, "Invalid media URL")
TOO_MANY_MEDIA = TwilioFault(400, 21623, "At most 10 media URLs are allowed.")
FROM_NOT_OURS = TwilioFault(400, 21659, "The 'From' number is not one of your phone numbers or short codes.")
NO_SUCH_SERVICE = TwilioFault(404, 21701, "The Messaging Service does not exist.")
OTHER_CHANNEL = TwilioFault(400, 21910, "'From' and 'To' must be phone numbers; other channels are not served.")
NOT_CANCELABLE = TwilioFault(409, 30409, "This message cannot be canceled")
NO_SEND_AT = TwilioFault(400, 35111, "'SendAt' is required to schedule a message.")
BAD_SCHEDULE_TYPE = TwilioFault(400, 35118, "'ScheduleType' must be 'fixed' with 'SendAt'.")
INVALID_PARAMETER = TwilioFault(400, 60200, "Invalid parameter")
MAX_CHECKS = TwilioFault(429, 60202, "Max check attempts reached")
MAX_SENDS = TwilioFault(429, 60203, "Max send attempts reached")
BAD_SEND_AT = TwilioFault(400, 35114, "'SendAt' must be an ISO 8601 time from 15 minutes to 35 days ahead.")

BY_STATUS: Mapping[int, TwilioFault] = {
    fault.status: fault
    for fault in (
        *(AUTHENTICATE, ACCESS_DENIED, NOT_FOUND, METHOD_NOT_ALLOWED, CONFLICT, BAD_REQUEST),
        *(BODY_TOO_LARGE, UNSUPPORTED, TOO_MANY, SERVER_ERROR, UNAVAILABLE),
    )
}
OF_FIELDS: Mapping[tuple[str, str], TwilioFault] = {
    ("from", "sender_not_allowed"): FROM_NOT_OURS,
    ("queue", "unknown_queue"): NO_SUCH_SERVICE,
    ("send_at", "too_far_ahead"): BAD_SEND_AT,
    ("message", "too_long"): BODY_TOO_LONG,
    ("media", "unknown_asset"): BAD_MEDIA_URL,
    ("media", "not_an_image"): BAD_MEDIA_URL,
    ("media", "media_not_supported"): UNREACHABLE,
    ("url", "address_refused"): BAD_URL,
}
OF_SERVICES: Mapping[type[Exception], TwilioFault] = {
    errors.RecipientInactive: NOT_MOBILE,
    errors.OptedOut: OPTED_OUT,
    errors.PrefixBlocked: NO_PERMISSION,
    errors.RecipientRateExceeded: TOO_MANY,
    errors.VelocityExceeded: TOO_MANY,
    errors.SenderNotAllowedInCountry: UNREACHABLE,
    errors.BudgetExceeded: TOO_MANY,
    errors.NotCancelable: NOT_CANCELABLE,
    errors.IdempotencyKeyReused: CONFLICT,
    errors.TooManyEndpoints: CONFLICT,
    MediaNotFetched: BAD_MEDIA_URL,
    MessageInProgress: IN_PROGRESS,
}


class TwilioError(Exception):
    """An error of the table. `detail` replaces its message; it must not quote texts, numbers or secrets."""

    def __init__(self, fault: TwilioFault, detail: str = "", *, wait: float | None = None) -> None:
        super().__init__(detail or fault.message)
        self.fault = fault
        self.wait = wait


def body_of(status: int, fault: TwilioFault | None = None, detail: str = "") -> dict[str, Any]:
    """The JSON of an error. `more_info` names Twilio's page about the code."""
    fault = (
        fault or BY_STATUS.get(status) or (BAD_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else SERVER_ERROR)
    )
    return {
        "code": fault.code,
        "message": detail or fault.message,
        "more_info": f"https://www.twilio.com/docs/errors/{fault.code}",
        "status": status,
    }


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. For None, Django logs the exception and `config.problems` gives the 500 its form."""
    found = _converted(exc)
    if found is None:
        return None
    set_rollback()
    fault, detail, headers = found
    return Response(body_of(fault.status, fault, detail), status=fault.status, headers=headers)


def _converted(exc: Exception) -> tuple[TwilioFault, str, Mapping[str, str]] | None:
    if isinstance(exc, TwilioError):
        wait = {} if exc.wait is None else {"Retry-After": str(max(1, int(exc.wait)))}
        return exc.fault, str(exc), REALM if exc.fault is AUTHENTICATE else wait
    if isinstance(exc, errors.InvalidField):
        return OF_FIELDS.get((exc.field, exc.field_code), BAD_REQUEST), "", {}
    if type(exc) in OF_SERVICES:
        wait = {"Retry-After": str(exc.retry_after)} if isinstance(exc, errors.RateExceeded) else {}
        return OF_SERVICES[type(exc)], "", wait
    if isinstance(exc, (Http404, PermissionDenied, RequestDataTooBig, TooManyFieldsSent)):
        return _of_django(exc), "", {}
    if isinstance(exc, exceptions.APIException):
        allowed = {"Retry-After": str(max(1, int(getattr(exc, "wait", None) or 1)))} if exc.status_code == 429 else {}  # noqa: PLR2004
        return BY_STATUS.get(exc.status_code, BAD_REQUEST), "", allowed
    return _unavailable(exc)


def _of_django(exc: Exception) -> TwilioFault:
    if isinstance(exc, Http404):
        return NOT_FOUND
    if isinstance(exc, PermissionDenied):
        return ACCESS_DENIED
    return BODY_TOO_LARGE if isinstance(exc, RequestDataTooBig) else BAD_REQUEST


def _unavailable(exc: Exception) -> tuple[TwilioFault, str, Mapping[str, str]] | None:
    if may_pass(exc):
        drop_connection()
        logger.error("request failed: database unavailable (%s)", type(exc).__name__)
        return UNAVAILABLE, "", TRY_AGAIN
    if isinstance(exc, CannotBeOpened):
        logger.error("a text cannot be opened: %s", exc)
        return UNAVAILABLE, "This text cannot be opened with the present keys.", {}
    if isinstance(exc, MediaUnavailable):
        return UNAVAILABLE, exc.detail, TRY_AGAIN
    return None
