"""Converts every error of the API to `application/problem+json` (RFC 9457), and of Twilio's API to its JSON."""

import logging
import sys
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils.decorators import sync_and_async_middleware
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from config.middleware import GetResponse
from media_store import errors as media
from messaging.database_faults import drop_connection, may_pass
from messaging.encryption import CannotBeOpened
from messaging.services import errors
from messaging.twilio_api import errors as twilio_errors
from providers.errors import InvalidSignature, MalformedCallback, SharedStateUnavailable, VerificationUnavailable
from scheduling.services.errors import AlreadyRan, ListDecided, ListNotSaved, ListUnreadable, ScheduleEnded

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
API_PREFIXES = ("/api/", "/webhooks/")
TWILIO_PREFIXES = ("/2010-04-01", "/v2/Services")
MAX_FIELD_ERRORS = 1_000  # a request may have an error in each of 100,000 recipients

DOMAIN_STATUS: dict[type[Exception], HTTPStatus] = {
    errors.InvalidField: HTTPStatus.BAD_REQUEST,
    errors.RecipientInactive: HTTPStatus.CONFLICT,
    errors.OptedOut: HTTPStatus.CONFLICT,
    errors.SenderNotAllowedInCountry: HTTPStatus.CONFLICT,
    errors.EmergencyNotAllowed: HTTPStatus.FORBIDDEN,
    errors.SenderRateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.VerificationRefused: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ResendTooSoon: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManySends: HTTPStatus.TOO_MANY_REQUESTS,
    errors.VerificationRateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.VerificationEnded: HTTPStatus.CONFLICT,
    errors.CaseDecided: HTTPStatus.CONFLICT,
    errors.PrefixBlocked: HTTPStatus.FORBIDDEN,
    errors.RecipientRateExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.VelocityExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.BudgetExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotAttachable: HTTPStatus.CONFLICT,
    errors.NotErasable: HTTPStatus.CONFLICT,
    errors.NotCancelable: HTTPStatus.CONFLICT,
    errors.NotRetryable: HTTPStatus.CONFLICT,
    errors.NotResolvable: HTTPStatus.CONFLICT,
    errors.TooManyEndpoints: HTTPStatus.CONFLICT,
    errors.EndpointDisabled: HTTPStatus.CONFLICT,
    errors.NoSecret: HTTPStatus.CONFLICT,
    errors.NotRedeliverable: HTTPStatus.CONFLICT,
    errors.InvalidTemplateContent: HTTPStatus.BAD_REQUEST,
    errors.TemplateChanged: HTTPStatus.CONFLICT,
    errors.TemplateNameTaken: HTTPStatus.CONFLICT,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    media.BadImage: HTTPStatus.BAD_REQUEST,
    media.AssetInUse: HTTPStatus.CONFLICT,
    media.FileTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    media.FileNotAccepted: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    media.NotAnImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    AlreadyRan: HTTPStatus.CONFLICT,
    ScheduleEnded: HTTPStatus.CONFLICT,
    ListNotSaved: HTTPStatus.CONFLICT,
    ListDecided: HTTPStatus.CONFLICT,
    ListUnreadable: HTTPStatus.CONFLICT,
}

CODES: dict[int, str] = {
    400: "invalid",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "throttled",
    500: "server_error",
    503: "unavailable",
}


def problem(
    status: int, *, code: str | None = None, detail: str = "", field_errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": _encodable(detail) or f"{HTTPStatus(status).phrase}.",
        "code": code or CODES.get(status, "error"),
    }
    if field_errors is not None:
        body["errors"] = [{name: _encodable(text) for name, text in error.items()} for error in field_errors]
    return body


def _encodable(text: str) -> str:
    """Escape lone surrogates: errors may quote the request, and a response that cannot be encoded would become a 500."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: convert an exception of a view to a problem. For None, Django logs the exception and responds with 500."""
    converted = _convert(exc)
    if converted is None:
        return None
    set_rollback()
    status, body, headers = converted
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def _convert(exc: Exception) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    if isinstance(exc, (errors.DomainError, media.MediaError)):
        return _domain(exc)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, (PermissionDenied, InvalidSignature)):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, MalformedCallback):
        exc = exceptions.ParseError(str(exc))
    elif isinstance(exc, RequestDataTooBig):
        return 413, problem(413), {}
    elif isinstance(exc, (TooManyFieldsSent, TooManyFilesSent)):
        exc = exceptions.ParseError("There are too many parameters or fields.")
    if isinstance(exc, exceptions.APIException):
        return _api_exception(exc)
    return _unavailable(exc)


def _unavailable(exc: Exception) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    if may_pass(exc):
        drop_connection()
        logger.error("request failed: database unavailable (%s)", type(exc).__name__)
        return 503, problem(503, detail="The database is unavailable; try again in a moment."), {"Retry-After": "5"}
    if isinstance(exc, CannotBeOpened):
        logger.error("a text cannot be opened: %s", exc)
        return 503, problem(503, code=exc.code, detail="This text cannot be opened with the present keys."), {}
    if isinstance(exc, VerificationUnavailable):
        logger.error("a callback cannot be verified now: %s", exc)
        return 503, problem(503, detail="The callback cannot be verified now; repeat it."), {"Retry-After": "5"}
    if isinstance(exc, SharedStateUnavailable):
        return 503, problem(503, detail=exc.detail), {"Retry-After": "5"}
    return None


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, for exceptions of views and middleware: a 503 page for temporary failures, else a 500 page."""
    exc = sys.exc_info()[1]
    converted = _unavailable(exc) if isinstance(exc, Exception) else None
    if converted is None:
        return defaults.server_error(request)
    status, body, headers = converted
    page = loader.get_template("503.html").render({"words": body["detail"]})
    response = HttpResponse(page, status=status, headers=headers)
    # Django's own attribute: `_unavailable` has logged one line, and Django would log a traceback for each request.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def _domain(exc: errors.DomainError | media.MediaError) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    status = DOMAIN_STATUS.get(type(exc))
    if status is None:
        return None
    if isinstance(exc, (errors.InvalidField, media.BadImage)):
        field_error = {"field": exc.field, "code": exc.field_code, "detail": exc.detail}
        return status, problem(status, detail="The request is not valid.", field_errors=[field_error]), {}
    if isinstance(exc, errors.InvalidTemplateContent):
        found = [{"field": each.field, "code": each.code, "detail": each.detail} for each in exc.problems]
        return status, problem(status, detail="The request is not valid.", field_errors=found), {}
    wait = getattr(exc, "retry_after", None)
    return status, problem(status, code=exc.code, detail=exc.detail), {} if wait is None else {"Retry-After": str(wait)}


def _api_exception(exc: exceptions.APIException) -> tuple[int, dict[str, Any], dict[str, str]]:
    headers: dict[str, str] = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    wait = getattr(exc, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, int(wait)))
    status = exc.status_code
    if isinstance(exc, exceptions.ValidationError):
        field_errors = list(islice(flatten(exc.get_full_details()), MAX_FIELD_ERRORS))
        return status, problem(status, detail="The request is not valid.", field_errors=field_errors), headers
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else CODES.get(status)
    if isinstance(exc, exceptions.ParseError):
        return status, problem(status, code=code, detail=str(exc.detail), field_errors=[]), headers
    return status, problem(status, code=code, detail=str(exc.detail)), headers


def flatten(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield DRF's nested error details as a flat list, with paths such as `messages.3.to`."""
    if isinstance(details, dict) and set(details) == {"message", "code"} and isinstance(details["code"], str):
        yield {"field": path, "code": details["code"], "detail": str(details["message"])}
    elif isinstance(details, dict):
        for key, value in details.items():
            step = "" if key == "non_field_errors" else str(key)
            yield from flatten(value, ".".join(part for part in (path, step) if part))
    elif isinstance(details, list):
        positional = any(not _is_leaf(item) for item in details)
        for position, item in enumerate(details):
            yield from flatten(item, f"{path}.{position}".strip(".") if positional and item else path)


def _is_leaf(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"message", "code"}


def _as_problem(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    is_twilios = request.path.startswith(TWILIO_PREFIXES)
    if not is_twilios and not request.path.startswith(API_PREFIXES):
        return response
    if "Allow" in response.headers:  # the framework lists OPTIONS, which is 405 everywhere
        allowed = response.headers["Allow"].split(", ")
        response.headers["Allow"] = ", ".join(method for method in allowed if method != "OPTIONS")
    return _without_html(response, is_twilios=is_twilios)


def _without_html(response: HttpResponse, *, is_twilios: bool) -> HttpResponse:
    """Replace Django's HTML error pages (unknown path, invalid host, crash) by problems, or by errors in Twilio's form."""
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return response
    if response.headers.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json")):
        return response
    if is_twilios:
        replacement = JsonResponse(twilio_errors.body_of(response.status_code), status=response.status_code)
    else:
        field_errors: list[dict[str, str]] | None = [] if response.status_code == HTTPStatus.BAD_REQUEST else None
        body = problem(response.status_code, field_errors=field_errors)
        replacement = JsonResponse(body, status=response.status_code, content_type=CONTENT_TYPE)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in response.headers:
            replacement.headers[name] = response.headers[name]
    return replacement


@sync_and_async_middleware
def ProblemMiddleware(get_response: GetResponse) -> GetResponse:  # noqa: N802 (middleware is named like a class)
    async def respond_async(request: HttpRequest) -> HttpResponse:
        return _as_problem(request, await get_response(request))

    def respond(request: HttpRequest) -> HttpResponse:
        return _as_problem(request, get_response(request))

    return respond_async if iscoroutinefunction(get_response) else respond
