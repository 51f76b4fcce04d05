"""Protocol errors at every endpoint: each response is a problem, whatever is sent."""

import pytest

from messaging.models import Message, OutboundQueue, WebhookEndpoint
from tests.factories import MessageFactory, PhoneNumberFactory
from tests.messaging.api.conftest import Api, assert_problem, errors_of

GOOD = '{"to": "+14155550101", "message": "Hello"}'
PK = "0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55"
NEW = {"to": "+14155550102", "message": "x"}
WRITES = {
    "messages/": NEW,
    "messages/batch/": {"messages": [NEW]},
    f"messages/{PK}/retry/": {"reason": "r"},
    "phone-numbers/+14155550101/activate/": {"reason": "r"},
    "phone-numbers/+14155550101/deactivate/": {"reason": "r"},
}
READS = ["messages/", f"messages/{PK}/", f"messages/{PK}/events/", f"messages/{PK}/attempts/", "phone-numbers/"]


@pytest.fixture
def rows(api) -> None:
    """What the addresses above name."""
    MessageFactory(pk=PK, owner=api.user, to_number="+14155550101", status="failed")
    PhoneNumberFactory(number="+14155550101")


def assert_nothing_changed() -> None:
    assert Message.objects.values_list("status", flat=True).get() == "failed"


NOT_JSON = [
    b"{",
    b"nonsense",
    b'{"to": }',
    b"'single'",
    b"\xff\xfe",
    b'{"to": "\xc3"}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e400}',
    b'{"a": -1e400}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": ' + b"9" * 5000 + b".0}",
    b"[" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"{} {}",
    b"\xef\xbb\xbf{}",
    b"[]",
    b'"text"',
    b"1",
    b"null",
    b"true",
]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("data", NOT_JSON, ids=lambda data: repr(data[:12]))
def test_a_body_that_is_not_a_json_object_is_400(api, rows, path: str, data: bytes) -> None:
    body = assert_problem(api.post(path, data=data), 400, "parse_error")

    assert body["errors"] == []
    assert_nothing_changed()


HALVES = [
    ({"to": "\ud800"}, "to"),
    ({"to": "+1\udfff"}, "to"),
    ({"unknown": "\ud83d\ud83d\ude00"}, "unknown"),
    ({"messages": [{"to": "+14155550101", "message": "x"}, {"message": "\udc00"}]}, "messages.1.message"),
    ({"a": {"b": [1, ["\ud800"]]}}, "a.b.1.0"),
    ({"\ud800": 1}, ""),
    ({"a": [{"b\udfff": "x"}]}, "a.0"),
]


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(("body", "field"), HALVES, ids=repr)
def test_a_lone_surrogate_anywhere_is_400_with_its_path(api, rows, path: str, body: dict, field: str) -> None:
    assert errors_of(api.post(path, body)) == {(field, "surrogate_characters_not_allowed")}

    assert_nothing_changed()


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "webhook-endpoints/", {"url": "https://example.com", "events": ["\ud800"]}, "events.0"),
        ("PATCH", "queues/express/", {"routing_strategy": "\udfff"}, "routing_strategy"),
    ],
)
def test_a_quoted_lone_surrogate_does_not_break_the_response(
    api, method: str, path: str, body: dict, field: str
) -> None:
    assert errors_of(api(method, path, body)) == {(field, "surrogate_characters_not_allowed")}

    assert not WebhookEndpoint.objects.exists()
    assert OutboundQueue.objects.get(pk="express").routing_strategy == "weighted"


def test_a_surrogate_pair_is_one_character(api) -> None:
    response = api.post("messages/", data=f'{GOOD[:-1]}, "reference": "\\uD83D\\uDE42"}}')

    assert (response.status_code, response.json()["reference"]) == (202, "🙂")


def test_an_escaped_backslash_is_not_a_surrogate(api) -> None:
    response = api.post("messages/", data=f'{GOOD[:-1]}, "reference": "\\\\ud800"}}')

    assert (response.status_code, response.json()["reference"]) == (202, "\\ud800")


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_no_depth_of_nesting_breaks_a_batch(api, open_: str, close: str) -> None:
    for depth in (
        20,
        40,
        *range(810, 930),
        5000,
    ):  # around Python's limit, which each reader and writer of JSON meets elsewhere
        nested = f"{open_ * depth}1{close * depth}"

        response = api.post("messages/batch/", data=f'{{"messages": [{nested}]}}', Idempotency_Key=str(depth))

        assert response.status_code == (202 if depth == 20 else 400), depth
    assert not Message.objects.exists()


def test_no_depth_of_nesting_breaks_a_message(api) -> None:
    for depth in (20, 40, *range(810, 930), 5000):
        nested = "[" * depth + "]" * depth

        response = api.post("messages/", data=f'{GOOD[:-1]}, "reference": {nested}}}', Idempotency_Key=str(depth))

        assert response.status_code == 400, depth


@pytest.mark.parametrize("path", WRITES)
def test_an_empty_body_is_an_empty_object(api, rows, path: str) -> None:
    body = assert_problem(api.post(path), 400, "invalid")

    assert {error["code"] for error in body["errors"]} == {"required"}
    assert_nothing_changed()


def test_numbers_of_any_allowed_size_are_handled(api) -> None:
    for number in ("9" * 30, "1e308", "-0.0", "1e-400", "0." + "1" * 5000):
        response = api.post("messages/", data=f'{GOOD[:-1]}, "valid_for": {number}}}')
        assert_problem(response, 400, "invalid")

    assert not Message.objects.exists()


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "x"],
)
def test_another_media_type_is_415(api, rows, path: str, content_type: str) -> None:
    assert_problem(api.post(path, data=GOOD, content_type=content_type), 415, "unsupported_media_type")

    assert_nothing_changed()


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON"]
)
def test_json_may_carry_parameters(api, content_type: str) -> None:
    assert api.post("messages/", data=GOOD, content_type=content_type).status_code == 202


@pytest.mark.parametrize("path", WRITES)
def test_a_body_beyond_the_limit_is_413(api, rows, settings, path: str) -> None:
    settings.MAX_BODY_BYTES = 100

    assert_problem(api.post(path, data=b'{"a": "' + b"x" * 100 + b'"}'), 413, "body_too_large")

    assert_nothing_changed()


def test_the_limit_is_ten_megabytes(settings) -> None:
    assert settings.MAX_BODY_BYTES == 10 * 1024 * 1024


@pytest.mark.parametrize("path", [*READS, *WRITES])
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png, text/*;q=0.5", "x"])
def test_only_json_is_served(api, rows, path: str, accept: str) -> None:
    method = "POST" if path in list(WRITES)[1:] else "GET"

    assert_problem(api(method, path, data=GOOD, Accept=accept), 406, "not_acceptable")

    assert_nothing_changed()


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json;q=0.5"])
def test_clients_that_accept_json_get_it(api, accept: str) -> None:
    assert api.get("messages/", Accept=accept).status_code == 200


WRONG_METHODS = [
    *((method, "messages/") for method in ("PUT", "PATCH", "DELETE")),
    *((method, f"messages/{PK}/") for method in ("POST", "PUT", "PATCH", "DELETE")),
    *((method, f"messages/{PK}/events/") for method in ("POST", "DELETE")),
    *((method, f"messages/{PK}/cancel/") for method in ("GET", "PUT", "DELETE")),
    ("GET", f"messages/{PK}/retry/"),
    ("GET", "messages/batch/"),
    ("POST", "phone-numbers/"),
    ("DELETE", "phone-numbers/+14155550101/"),
    ("GET", "phone-numbers/+14155550101/activate/"),
    ("GET", "auth/token/"),
    ("GET", "auth/logout/"),
    ("DELETE", "queues/"),
    ("PUT", "queues/express/"),
]


@pytest.mark.parametrize(("method", "path"), WRONG_METHODS)
def test_another_method_is_405_with_the_allowed_methods(api, rows, method: str, path: str) -> None:
    response = api(method, path, data=GOOD)

    if path == "auth/token/":  # its proof is a password, which comes first
        assert_problem(response, 401, "not_authenticated")
        return
    assert_problem(response, 405, "method_not_allowed")
    assert method not in response.headers["Allow"]
    assert_nothing_changed()


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "BREW"])
def test_odd_methods_are_405(api, method: str) -> None:
    response = api(method, "messages/")

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, POST, HEAD"


def test_head_is_get_without_a_body(api) -> None:
    response = api("HEAD", "messages/")

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["nowhere/", "messages/x/y/", "/api", "/api/", "/api/v2/messages/", "messages//", "%00", "/webhooks/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_404(api, method: str, path: str) -> None:
    assert_problem(api(method, path, data=GOOD), 404, "not_found")


@pytest.mark.parametrize("path", READS)
def test_a_path_without_its_slash_returns_the_same(api, rows, path: str) -> None:
    with_slash, without = api.get(path), api.get(path.rstrip("/"))

    assert (without.status_code, without.json()) == (200, with_slash.json())


@pytest.mark.parametrize("path", WRITES)
def test_a_path_without_its_slash_keeps_the_body(api, rows, path: str) -> None:
    assert api.post(path.rstrip("/"), WRITES[path]).status_code in {200, 202}


def test_the_query_survives_a_missing_slash(api, rows) -> None:
    assert api.get("messages?status=sent").json()["count"] == 0
    assert api.get("messages?status=failed").json()["count"] == 1


@pytest.mark.parametrize("host", ["evil.example", "a b", "[::1", ""])
def test_an_unknown_host_is_a_problem(api, host: str) -> None:
    response = api.get("nowhere/", Host=host) if host else api.get("nowhere/")

    assert_problem(response, *((400, "invalid") if host else (404, "not_found")))


@pytest.mark.parametrize("path", ["messages/", "nowhere/"])
def test_an_internal_error_is_a_problem_without_a_traceback(api, path: str, monkeypatch) -> None:
    def fail(*_args, **_options) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("config.trailing_slash._complete", fail)
    client = Api(token=api.token)
    client._client.raise_request_exception = False

    response = client.get(path)

    assert_problem(response, 500, "server_error")
    assert b"secret detail" not in response.content


def test_a_response_is_json_with_z_times_and_unescaped_letters(api) -> None:
    response = api.post("messages/", {"to": "+14155550101", "message": "Grüße 🙂"})

    assert "Grüße 🙂" in response.content.decode()


MANY_VALUES = {"lists": b'{"a": [' + b"[]," * 100_000 + b"[]]}", "keys": b'{"a":1' + b',"b":1' * 100_000 + b"}"}


@pytest.mark.parametrize("kind", MANY_VALUES)
def test_a_body_of_very_many_values_is_refused_before_it_is_parsed(api, kind: str) -> None:
    response = api.post("messages/", data=MANY_VALUES[kind])

    assert_problem(response, 400, "parse_error")
    assert response.json()["detail"] == "The body has more than 100,000 values."
