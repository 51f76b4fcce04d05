"""The mapping from exceptions to problems of the API."""

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.exceptions import ErrorDetail
from rest_framework.renderers import JSONRenderer

from config.problems import DOMAIN_STATUS, ProblemMiddleware, exception_handler, flatten, problem
from messaging.services import errors
from providers.errors import InvalidSignature, MalformedCallback
from tests.database_faults import passing_faults


def handle(error: Exception):
    return exception_handler(error, {})


DOMAIN = [
    (errors.RecipientInactive("gone"), 409, "recipient_inactive"),
    (errors.NotCancelable("sent"), 409, "not_cancelable"),
    (errors.NotRetryable("sent"), 409, "not_retryable"),
    (errors.NotResolvable("sent"), 409, "not_resolvable"),
    (errors.IdempotencyKeyReused("used"), 422, "idempotency_key_reused"),
]


@pytest.mark.parametrize(("error", "status", "code"), DOMAIN, ids=lambda value: type(value).__name__)
def test_what_a_use_case_refuses(error: errors.DomainError, status: int, code: str) -> None:
    response = handle(error)

    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert set(response.data) == {"type", "title", "status", "detail", "code"}
    assert (response.data["code"], response.data["detail"], response.data["status"]) == (code, str(error), status)


def test_a_field_that_makes_no_sense() -> None:
    response = handle(errors.InvalidField("to", "odd", "An odd number."))

    assert (response.status_code, response.data["code"]) == (400, "invalid")
    assert response.data["errors"] == [{"field": "to", "code": "odd", "detail": "An odd number."}]


def test_every_refusal_of_a_request_has_its_status() -> None:
    ours = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.DomainError)}
    families = {each for each in ours if set(each.__subclasses__()) & ours}  # only their members are raised

    assert ours - families - set(DOMAIN_STATUS) == {errors.IllegalTransition}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("secret path"), 404, "not_found"),
        (PermissionDenied("secret"), 403, "permission_denied"),
        (InvalidSignature("secret"), 403, "permission_denied"),
        (MalformedCallback("no id"), 400, "parse_error"),
        (RequestDataTooBig(), 413, "body_too_large"),
        (TooManyFieldsSent("secret"), 400, "parse_error"),
        (TooManyFilesSent("secret"), 400, "parse_error"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.AuthenticationFailed(), 401, "authentication_failed"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
        (exceptions.Throttled(wait=7.2), 429, "throttled"),
        (exceptions.APIException("x"), 500, "error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_django_and_its_framework_raise(error: Exception, status: int, code: str) -> None:
    response = handle(error)

    assert (response.status_code, response.content_type, response.data["code"]) == (
        status,
        "application/problem+json",
        code,
    )
    assert ("errors" in response.data) == (status == 400)
    assert "secret" not in str(response.data)


@pytest.mark.parametrize("fault", passing_faults(), ids=lambda fault: type(fault).__name__)
def test_an_unavailable_database_is_503_with_retry_after(fault: Exception, caplog) -> None:
    fault.args = ("host=10.0.0.5 password=hunter2",)

    response = handle(fault)

    assert (response.status_code, response.data["code"], response.headers["Retry-After"]) == (503, "unavailable", "5")
    assert "hunter2" not in str(response.data) + caplog.text


HALF = "\ud800"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ValidationError({HALF: f"{HALF} is not a choice."}),
        exceptions.ParseError(f"{HALF} is odd."),
        errors.InvalidField("to", "odd", f"{HALF} is odd."),
        errors.NotCancelable(f"{HALF} is odd."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_quotes_half_a_character_can_be_written(error: Exception) -> None:
    response = handle(error)

    written = JSONRenderer().render(response.data).decode()
    assert "\\\\ud800 is " in written


@pytest.mark.parametrize("error", [RuntimeError("x"), DataError("x"), errors.IllegalTransition("x"), KeyError("x")])
def test_our_own_faults_are_left_to_django_which_logs_them(error: Exception) -> None:
    assert handle(error) is None


@pytest.mark.parametrize(("wait", "header"), [(7.2, "8"), (0.1, "1"), (None, None)])
def test_a_throttled_client_gets_retry_after(wait, header) -> None:
    assert handle(exceptions.Throttled(wait=wait)).headers.get("Retry-After") == header


def leaf(code: str) -> dict:
    return {"message": ErrorDetail("text", code), "code": code}


@pytest.mark.parametrize(
    ("details", "flat"),
    [
        ({"to": [leaf("a"), leaf("b")]}, [("to", "a"), ("to", "b")]),
        ({"non_field_errors": [leaf("a")]}, [("", "a")]),
        ([leaf("a")], [("", "a")]),
        ({"messages": [{}, {"to": [leaf("a")]}]}, [("messages.1.to", "a")]),
        ({"media": {0: [leaf("a")], 2: [leaf("b")]}}, [("media.0", "a"), ("media.2", "b")]),
        ({"a": {"non_field_errors": [leaf("x")]}}, [("a", "x")]),
        ({"message": [leaf("a")], "code": [leaf("b")]}, [("message", "a"), ("code", "b")]),
        ({}, []),
    ],
)
def test_nested_errors_become_paths(details, flat: list[tuple[str, str]]) -> None:
    assert [(error["field"], error["code"]) for error in flatten(details)] == flat


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 500, 503])
def test_every_status_has_a_title_and_a_code(status: int) -> None:
    body = problem(status)

    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    assert body["detail"]
    assert body["code"] not in {"error", ""}


class TestMiddleware:
    def through(self, path: str, response: HttpResponse) -> HttpResponse:
        request = HttpRequest()
        request.path = path
        return ProblemMiddleware(lambda _request: response)(request)

    @pytest.mark.parametrize("path", ["/api/v1/x/", "/api/", "/webhooks/x/"])
    @pytest.mark.parametrize("status", [400, 403, 404, 405, 500, 503])
    def test_an_error_page_becomes_a_problem(self, path: str, status: int) -> None:
        page = HttpResponse("<h1>secret</h1>", status=status)

        answer = self.through(path, page)

        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert b"secret" not in answer.content
        assert (b'"errors"' in answer.content) == (status == 400)

    @pytest.mark.parametrize("name", ["Allow", "Retry-After", "WWW-Authenticate"])
    def test_what_a_client_needs_is_kept(self, name: str) -> None:
        page = HttpResponse("x", status=405, headers={name: "this"})

        assert self.through("/api/", page).headers[name] == "this"

    @pytest.mark.parametrize(("path", "allowed"), [("/api/v1/x/", "GET, HEAD"), ("/admin/", "GET, HEAD, OPTIONS")])
    @pytest.mark.parametrize("status", [200, 405])
    def test_a_method_that_nothing_under_the_api_has_is_not_offered(self, path: str, allowed: str, status: int) -> None:
        answer = HttpResponse("x", status=status, headers={"Allow": "GET, HEAD, OPTIONS"})

        assert self.through(path, answer).headers["Allow"] == allowed

    @pytest.mark.parametrize("path", ["/admin/", "/", "/readyz"])
    def test_html_pages_stay_pages(self, path: str) -> None:
        page = HttpResponse("<h1>Not found</h1>", status=404)

        assert self.through(path, page) is page

    @pytest.mark.parametrize("response", [HttpResponse("x"), JsonResponse({}, status=404), HttpResponse(status=302)])
    def test_other_responses_are_unchanged(self, response: HttpResponse) -> None:
        assert self.through("/api/v1/", response) is response

    async def async_answer(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("x", status=404)

    def test_an_asynchronous_server_gets_the_same(self) -> None:
        request = HttpRequest()
        request.path = "/api/x/"
        waiting = ProblemMiddleware(self.async_answer)(request)

        with pytest.raises(StopIteration) as done:
            waiting.send(None)

        assert done.value.value.headers["Content-Type"] == "application/problem+json"
