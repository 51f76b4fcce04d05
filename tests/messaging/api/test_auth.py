"""Authentication and authorization: tokens, log-ins, sessions, permissions and limits."""

import base64
from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from redis.connection import AbstractConnection

from messaging import credential_memory
from messaging.models import ApiToken, Message
from messaging.services.installation import API_OPERATOR, API_READER, API_SENDER
from providers.state import redis_client
from tests.factories import MessageFactory, UserFactory, make_token
from tests.messaging.api.conftest import Api, assert_problem

BODY = {"to": "+14155550101", "message": "Hello"}
PASSWORD = "correct horse"


def basic(username: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.fixture
def ada(installed):
    user = UserFactory(username="ada")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class TestTokens:
    @pytest.mark.parametrize(
        "path", ["messages/", "phone-numbers/", "queues/", "messages/0191d2a4-7c1e-7b3a-9f10-2f6f3f1c9a55/"]
    )
    def test_without_a_token_nothing_is_returned(self, anonymous, path: str) -> None:
        response = anonymous.get(path)

        assert_problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_without_a_token_nothing_is_created(self, anonymous) -> None:
        assert_problem(anonymous.post("messages/", BODY), 401, "not_authenticated")

        assert not Message.objects.exists()

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer",
            "Bearer ",
            "Bearer x",
            "Bearer a b",
            "Bearer \xe9",
            "Bearer \xff\xfe",
            "bearer " + "x" * 5000,
            "Bearer \x00",
        ],
        ids=repr,
    )
    def test_a_bad_token_is_401(self, installed, header: str) -> None:
        response = Api().get("messages/", Authorization=header)

        assert_problem(response, 401, "authentication_failed")
        assert response.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("header", ["Token {}", "{}", "Basic {}", "Bearer{}"])
    def test_a_token_in_another_scheme_is_401(self, api, header: str) -> None:
        assert_problem(Api().get("messages/", Authorization=header.format(api.token)), 401, "not_authenticated")

    @pytest.mark.parametrize(
        "change", [lambda token: token[:-1], lambda token: token + "0", lambda token: token[:30] + "z" + token[31:]]
    )
    def test_a_token_that_differs_slightly_is_401(self, api, change) -> None:
        assert_problem(Api(token=change(api.token)).get("messages/"), 401, "authentication_failed")

    def test_the_scheme_may_be_written_in_any_case(self, api) -> None:
        assert Api().get("messages/", Authorization=f"bEaReR {api.token}").status_code == 200

    def test_an_expired_token_is_401(self, api) -> None:
        ApiToken.objects.update(expiry=timezone.now())

        assert_problem(api.get("messages/"), 401, "authentication_failed")

    def test_a_token_of_a_deactivated_user_is_401(self, api) -> None:
        get_user_model().objects.update(is_active=False)

        assert_problem(api.get("messages/"), 401, "authentication_failed")

    def test_a_token_is_stored_as_a_digest_only(self, api) -> None:
        row = ApiToken.objects.get()

        assert api.token not in {row.digest, row.token_key}
        assert len(api.token) > len(row.token_key)
        assert api.token[len(row.token_key) :] not in row.digest

    def test_authentication_costs_three_queries_and_then_none(
        self, api, django_assert_num_queries, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(credential_memory, "SECONDS", 60.0)
        for queries in (3, 0):  # the token with its user, the user's permissions, those of the groups
            with django_assert_num_queries(queries):
                assert_problem(api("DELETE", "messages/"), 405, "method_not_allowed")


class TestLogIn:
    def test_credentials_are_exchanged_for_a_token(self, ada, settings) -> None:
        response = Api().post("auth/token/", Authorization=basic("ada"))

        assert response.status_code == 201
        assert set(response.json()) == {"token", "expires_at"}
        expires = datetime.fromisoformat(response.json()["expires_at"])
        left = expires - timezone.now() - timedelta(hours=settings.TOKEN_TTL_HOURS)
        assert response.json()["expires_at"].endswith("Z")
        assert abs(left) < timedelta(minutes=1)
        assert Api(token=response.json()["token"]).post("auth/logout/").status_code == 204

    @pytest.mark.parametrize(
        "header",
        [basic("ada", "wrong"), basic("nobody"), basic("", ""), basic("ada", PASSWORD + "\x00")],
        ids=["password", "user", "empty", "nul"],
    )
    def test_wrong_credentials_are_401_and_create_no_token(self, ada, header: str) -> None:
        response = Api().post("auth/token/", Authorization=header)

        assert_problem(response, 401, "authentication_failed")
        assert response.headers["WWW-Authenticate"].startswith("Basic ")
        assert not ApiToken.objects.exists()

    @pytest.mark.parametrize(
        "header", ["Basic", "Basic x", "Basic !!!", "Basic /w==", "Basic YQ==", "Basic a b", "basic \xe9"]
    )
    def test_a_malformed_header_is_401(self, ada, header: str) -> None:
        assert_problem(Api().post("auth/token/", Authorization=header), 401, "authentication_failed")

    def test_a_wrong_user_and_a_wrong_password_get_the_same_response(self, ada) -> None:
        answers = [Api().post("auth/token/", Authorization=basic(*who)).json() for who in (("ada", "x"), ("bob", "x"))]

        assert answers[0] == answers[1]

    def test_a_token_cannot_create_tokens(self, api) -> None:
        assert_problem(api.post("auth/token/"), 401, "not_authenticated")

        assert ApiToken.objects.count() == 1

    def test_a_deactivated_user_gets_no_token(self, ada) -> None:
        get_user_model().objects.update(is_active=False)

        assert_problem(Api().post("auth/token/", Authorization=basic("ada")), 401, "authentication_failed")

    def test_a_user_without_a_password_gets_no_token(self, api) -> None:
        for password in ("", "!"):
            response = Api().post("auth/token/", Authorization=basic("client", password))
            assert_problem(response, 401, "authentication_failed")

    def test_ten_failures_close_the_address_for_a_while(self, ada) -> None:
        for _ in range(10):
            assert_problem(Api().post("auth/token/", Authorization=basic("ada", "x")), 401, "authentication_failed")

        response = Api().post("auth/token/", Authorization=basic("ada"))

        assert_problem(response, 429, "throttled")
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert not ApiToken.objects.exists()

    def test_successes_do_not_count(self, ada) -> None:
        statuses = [Api().post("auth/token/", Authorization=basic("ada")).status_code for _ in range(12)]

        assert statuses == [201] * 12

    def test_failures_are_counted_per_process_while_redis_is_unavailable(self, ada, no_redis, settings) -> None:
        settings.RATE_LIMIT_FAILED_LOGINS = "10/h"
        assert Api().post("auth/token/", Authorization=basic("ada")).status_code == 201
        for _ in range(10):
            assert_problem(Api().post("auth/token/", Authorization=basic("ada", "x")), 401, "authentication_failed")

        response = Api().post("auth/token/", Authorization=basic("ada"))

        assert_problem(response, 429, "throttled")
        assert ApiToken.objects.count() == 1


class TestLogOut:
    def test_the_token_of_the_request_is_revoked_and_no_other(self, api) -> None:
        other = Api(token=make_token(api.user))

        response = api.post("auth/logout/")

        assert (response.status_code, response.content) == (204, b"")
        assert_problem(api.get("messages/"), 401, "authentication_failed")
        assert other.get("messages/").status_code == 200

    def test_without_a_token_it_is_401(self, anonymous) -> None:
        assert_problem(anonymous.post("auth/logout/"), 401, "not_authenticated")


class TestSession:
    @pytest.fixture
    def browser(self, api) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(api.user)
        return client

    def test_a_browser_session_reads(self, browser) -> None:
        assert browser.get("/api/v1/messages/").status_code == 200

    @pytest.mark.parametrize("space", ["\xa0", "\x85", "\x1f"])
    def test_a_browser_session_reads_beside_a_header_that_is_no_bearer_token(self, browser, space: str) -> None:
        """REST framework splits the header at ASCII spaces only, so the session counts."""
        response = browser.get("/api/v1/messages/", headers={"Authorization": f"Bearer{space}x"})

        assert response.status_code == 200

    def test_a_browser_session_needs_a_csrf_token_to_write(self, browser) -> None:
        response = browser.post("/api/v1/messages/", BODY, content_type="application/json")
        assert_problem(response, 403, "permission_denied")
        assert not Message.objects.exists()

        browser.cookies["csrftoken"] = "c" * 32
        headers = {"X-CSRFToken": "c" * 32}
        response = browser.post("/api/v1/messages/", BODY, content_type="application/json", headers=headers)

        assert response.status_code == 202

    def test_a_bearer_token_needs_no_csrf_token(self, api) -> None:
        client = Client(enforce_csrf_checks=True)
        headers = {"Authorization": f"Bearer {api.token}"}

        response = client.post("/api/v1/messages/", BODY, content_type="application/json", headers=headers)

        assert response.status_code == 202


READ = {"messages/": "GET", "messages/{pk}/": "GET", "messages/{pk}/events/": "GET", "messages/{pk}/attempts/": "GET",
        "phone-numbers/": "GET", "queues/": "GET", "queues/express/": "GET"}  # fmt: skip
SEND = {"messages/": "POST", "messages/batch/": "POST", "messages/{pk}/cancel/": "POST"}
OPERATE = {"messages/{pk}/retry/": "POST", "phone-numbers/+14155550101/activate/": "POST", "queues/express/": "PATCH",
           "queues/express/pause/": "POST", "queues/express/resume/": "POST"}  # fmt: skip
ALLOWED = {API_READER: [READ], API_SENDER: [READ, SEND], API_OPERATOR: [READ, OPERATE]}
CALLS = [(method, path) for table in (READ, SEND, OPERATE) for path, method in table.items()]


@pytest.mark.parametrize("group", [None, *ALLOWED])
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_group_has_exactly_its_permissions(member_of, group: str | None, method: str, path: str) -> None:
    client = member_of(*filter(None, [group]))
    message = MessageFactory(owner=client.user)
    allowed = any((path, method) in table.items() for table in ALLOWED.get(group, []))

    response = client(method, path.format(pk=message.pk), {})

    if allowed:
        assert response.status_code in {200, 202, 400, 404, 409}
    else:
        assert_problem(response, 403, "permission_denied")
        message.refresh_from_db()
        assert (message.status, Message.objects.count()) == ("queued", 1)


def test_being_staff_alone_shows_nothing(installed) -> None:
    MessageFactory()

    assert_problem(Api(UserFactory(is_staff=True)).get("messages/"), 403, "permission_denied")


class TestRate:
    def test_a_token_has_its_rate(self, api, settings) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "3/h"

        statuses = [api.get("messages/").status_code for _ in range(3)]
        refused = api.post("messages/", BODY)

        assert statuses == [200] * 3
        assert_problem(refused, 429, "throttled")
        assert 1 <= int(refused.headers["Retry-After"]) <= 3600
        assert not Message.objects.exists()

    def test_each_token_is_limited_separately(self, api, stranger, settings) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "1/h"
        second = Api(token=make_token(api.user))

        assert [client.get("messages/").status_code for client in (api, second, stranger)] == [200] * 3
        assert [client.get("messages/").status_code for client in (api, second, stranger)] == [429] * 3

    def test_the_default_is_two_hundred_a_second(self, settings) -> None:
        assert (settings.RATE_LIMIT_PER_TOKEN, settings.RATE_LIMIT_FAILED_LOGINS) == ("200/s", "10/m")

    def test_requests_are_counted_per_process_while_redis_is_unavailable(self, api, no_redis, settings) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "3/h"

        assert [api.get("messages/").status_code for _ in range(4)] == [200, 200, 200, 429]

    def test_a_request_is_counted_in_one_round_trip(self, api, monkeypatch: pytest.MonkeyPatch) -> None:
        sent = []
        send = AbstractConnection.send_packed_command
        monkeypatch.setattr(
            AbstractConnection, "send_packed_command", lambda *given, **more: (sent.append(1), send(*given, **more))
        )

        for _ in range(3):
            assert api.get("messages/").status_code == 200

        assert len(sent) == 3

    def test_a_counter_ends_after_its_window(self, api, settings) -> None:
        settings.RATE_LIMIT_PER_TOKEN = "3/h"
        api.get("messages/")

        [key] = redis_client.client().keys("*:rl:*")
        assert 0 < redis_client.client().ttl(key) <= 3605
