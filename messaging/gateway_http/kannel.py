"""Kannel's `sendsms` over HTTP. Responses carry no id: the outcome of a text is reported to `dlr-url`."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messaging.database_faults import drop_connection, may_pass
from messaging.gateway_http import access, kannel_bodies, kannel_requests, submission
from messaging.gateway_http.kannel_bodies import KannelRefusal
from messaging.gateway_http.parameters import text_of
from messaging.gateway_http.switches import enabled_by
from messaging.models import Message
from messaging.services.errors import DomainError, InvalidField

logger = logging.getLogger(__name__)

ACCEPTED: Final = "0: Accepted for delivery"
UNAUTHORIZED: Final = (403, "Authorization failed for sendsms")
UNAVAILABLE: Final = (503, "Temporal failure, try again later.")
DENIED: Final = (400, kannel_requests.DENIED)
# By the code of a refusal, or of the field that is refused; any other is about the recipient.
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "sender_not_allowed": (400, "Sender not allowed, rejected"),
    "too_long": (400, "Text too long, rejected"),
    "too_far_ahead": (400, "Deferred field misformed, rejected"),
    "recipient_rate_exceeded": UNAVAILABLE,
    "velocity_exceeded": UNAVAILABLE,
    "budget_exceeded": UNAVAILABLE,
    "unknown_queue": UNAVAILABLE,  # the operator's fault: the client repeats
}


@enabled_by("ENABLE_KANNEL_API")
@csrf_exempt
@require_http_methods(["GET", "POST"])
def sendsms(request: HttpRequest) -> HttpResponse:
    try:
        _submit(request)
    except KannelRefusal as refusal:
        return HttpResponse(refusal.words, status=refusal.status, content_type="text/html")
    return HttpResponse(ACCEPTED, status=HTTPStatus.ACCEPTED, content_type="text/html")


def _submit(request: HttpRequest) -> None:
    """Raises `KannelRefusal`. Of several recipients, those that must not be sent to are left out, as Kannel does."""
    parameters = kannel_bodies.read(request)
    now = timezone.now()
    username, password = (text_of(parameters, name) or "" for name in ("username", "password"))
    try:
        credential = access.verified(request, username=username, password=password, now=now)
        drafts = kannel_requests.read(
            parameters, is_post=request.method == "POST", system_id=credential.system_id, now=now
        )
        results = submission.store(credential, drafts, now=now)
    except access.TooManyRequests:
        raise KannelRefusal(*UNAVAILABLE) from None
    except DomainError:
        raise KannelRefusal(*UNAUTHORIZED) from None
    except Exception as error:
        if not may_pass(error):
            raise
        drop_connection()
        logger.error("a text was not stored: database unavailable (%s)", type(error).__name__)
        raise KannelRefusal(*UNAVAILABLE) from None
    if not any(isinstance(result, Message) for result in results):
        raise _refusal([result for result in results if isinstance(result, DomainError)])


def _refusal(errors: Sequence[DomainError]) -> KannelRefusal:
    codes = [error.field_code if isinstance(error, InvalidField) else error.code for error in errors]
    return KannelRefusal(*next((REFUSALS[code] for code in codes if code in REFUSALS), DENIED))
