"""Jasmin's HTTP interface: `/send`, and what its clients ask before and around it."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messaging import segments
from messaging.database_faults import drop_connection, may_pass
from messaging.gateway_http import access, jasmin_arguments, jasmin_requests, submission
from messaging.gateway_http.jasmin_arguments import Fields, JasminRefusal
from messaging.gateway_http.parameters import Parameters, text_of
from messaging.gateway_http.switches import enabled_by
from messaging.models import GatewayCredential, Message
from messaging.services.errors import DomainError, InvalidField

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# What answers a client that may call; `is_json` tells that the arguments came as JSON.
Responder = Callable[[GatewayCredential, Parameters, bool, datetime], Result]
Values = dict[str, str | int | float]

NOT_KNOWN: Final = "ND"
# The filter that Jasmin would name, by the code of a refusal or of the field that is refused.
FILTERS: Final[Mapping[str, str]] = {
    "sender_not_allowed": "source_address",
    "invalid_sender": "source_address",
    "invalid_number": "source_address",
    "impossible_number": "source_address",
    "too_long": "content",
    "blank": "content",
    "unreadable": "content",
    "too_far_ahead": "schedule_delivery_time",
}
OF_RECIPIENT: Final = "destination_address"


@enabled_by("ENABLE_JASMIN_API")
@csrf_exempt
@require_http_methods(["GET", "POST"])
def send(request: HttpRequest) -> HttpResponse:
    try:
        message = _called(request, jasmin_arguments.SEND, _sent)
    except JasminRefusal as refusal:
        return HttpResponse(f'Error "{refusal.words}"', status=refusal.status, content_type="text/plain")
    return HttpResponse(f'Success "{message.pk}"', content_type="text/plain")


@enabled_by("ENABLE_JASMIN_API")
@csrf_exempt
@require_http_methods(["GET", "POST"])
def rate(request: HttpRequest) -> HttpResponse:
    """The number of parts; prices are not known here."""
    return _as_json(request, jasmin_arguments.RATE, _rated)


@enabled_by("ENABLE_JASMIN_API")
@csrf_exempt
@require_http_methods(["GET", "POST"])
def balance(request: HttpRequest) -> HttpResponse:
    return _as_json(request, jasmin_arguments.BALANCE, _balanced)


@enabled_by("ENABLE_JASMIN_API")
@csrf_exempt
@require_http_methods(["GET", "POST"])
def ping(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("Jasmin/PONG", content_type="text/html")


def _as_json(request: HttpRequest, fields: Fields, answer: "Responder[Values]") -> HttpResponse:
    body: Values | str
    try:
        body, status = _called(request, fields, answer), 200
    except JasminRefusal as refusal:
        body, status = refusal.words, refusal.status
    return HttpResponse(json.dumps(body), status=status, content_type="application/json")


def _called(request: HttpRequest, fields: Fields, answer: "Responder[Result]") -> Result:
    """The result for a client that may call. Raises `JasminRefusal`."""
    arguments = jasmin_arguments.read(request, fields)
    now = timezone.now()
    username, password = (text_of(arguments, name) or "" for name in ("username", "password"))
    try:
        credential = _verified(request, username, password, now)
        return answer(credential, arguments, request.content_type == jasmin_arguments.JSON, now)
    except access.TooManyRequests:
        raise JasminRefusal(403, "User throughput exceeded") from None
    except DomainError as error:
        raise _refusal(error, username) from None
    except Exception as error:
        if not may_pass(error):
            raise
        drop_connection()
        logger.error("a request was not answered: database unavailable (%s)", type(error).__name__)
        raise JasminRefusal(503, "Temporarily unavailable, try again later.") from None


def _verified(request: HttpRequest, username: str, password: str, now: datetime) -> GatewayCredential:
    try:
        return access.verified(request, username=username, password=password, now=now)
    except DomainError:
        raise JasminRefusal(403, f"Authentication failure for username:{username}") from None


def _refusal(error: DomainError, username: str) -> JasminRefusal:
    code = error.field_code if isinstance(error, InvalidField) else error.code
    if code == "unknown_queue":  # the operator's fault
        return JasminRefusal(412, "No route found")
    if code == "budget_exceeded":
        return JasminRefusal(403, "User throughput exceeded")
    name = FILTERS.get(code, OF_RECIPIENT)
    return JasminRefusal(400, f"Value filter failed for user [{username}] ({name} filter mismatch).")


def _sent(credential: GatewayCredential, arguments: Parameters, is_json: bool, now: datetime) -> Message:
    draft = jasmin_requests.read(arguments, is_json=is_json, now=now)
    [result] = submission.store(credential, [draft], now=now)
    if isinstance(result, DomainError):
        raise result
    return result


def _rated(credential: GatewayCredential, arguments: Parameters, is_json: bool, _now: datetime) -> Values:
    access.admit(credential)
    text = jasmin_requests.text_from(arguments, is_json=is_json) or ""
    return {"unit_rate": 0.0, "submit_sm_count": max(1, segments.measure(text).segments)}


def _balanced(credential: GatewayCredential, _arguments: Parameters, _is_json: bool, _now: datetime) -> Values:
    access.admit(credential)
    return {"balance": NOT_KNOWN, "sms_count": NOT_KNOWN}
