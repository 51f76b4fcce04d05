"""Who may call, how often, and the form of every other error."""

import base64
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from twilio.base.exceptions import TwilioRestException

from messaging import credential_memory
from messaging.models import TwilioAccount, TwilioApiKey
from messaging.services.twilio import credentials
from tests.factories import NOW
from tests.messaging.twilio_api.conftest import Twilio, sdk
from tests.messaging.twilio_api.facts import assert_error

pytestmark = pytest.mark.django_db
SECONDS = 0.9


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Credentials are remembered, by this clock."""
    now = [100.0]
    monkeypatch.setattr(credential_memory, "SECONDS", SECONDS)
    monkeypatch.setattr("messaging.credential_memory.time.monotonic", lambda: now[0])
    return now


def key_of(twilio: Twilio, label: str = "") -> tuple[TwilioApiKey, str]:
    account = TwilioAccount.objects.get(sid=twilio.sid)
    return credentials.issue_key(account_id=account.pk, label=label, now=NOW)


def test_an_api_key_and_its_secret_are_taken(twilio: Twilio) -> None:
    key, secret = key_of(twilio)
    twilio.login = (key.sid, secret)

    assert twilio.send().json()["account_sid"] == twilio.sid
    twilio.login = (key.sid, twilio.token)
    assert_error(twilio.send(), 401, 20003)


@pytest.mark.parametrize(
    "login",
    [None, ("", ""), ("AC" + "0" * 32, "x"), ("sid", ""), ("sid", "wrong"), ("sid", "token "), ("SK" + "0" * 32, "x"),
     ("AC\0", "x"), ("sid\n", "token"), ("ACé" + "0" * 31, "x"), ("token", "token")],
)  # fmt: skip
def test_a_wrong_credential_is_401(twilio: Twilio, login: tuple[str, str] | None) -> None:
    known = {"sid": twilio.sid, "token": twilio.token}
    if login is not None:
        login = tuple(text.replace("sid", known["sid"]).replace("token", known["token"]) for text in login)  # type: ignore[assignment]
    twilio.login = login

    response = twilio.send()

    assert_error(response, 401, 20003)
    assert response.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic x", "Basic ===", "Bearer abc", "Basic a b", "Basic " + "A" * 5_000,
     "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Basic " + base64.b64encode(b"no colon").decode()],
)  # fmt: skip
def test_a_malformed_header_is_401(twilio: Twilio, header: str) -> None:
    assert_error(twilio("GET", "Messages.json", Authorization=header), 401, 20003)


def test_the_sdk_raises_20003(twilio: Twilio) -> None:
    twilio.login = (twilio.sid, "0" * 32)
    with pytest.raises(TwilioRestException) as raised:
        sdk(twilio).api.accounts(twilio.sid).fetch()

    assert (raised.value.status, raised.value.code) == (401, 20003)


def revoke(twilio: Twilio) -> None:
    credentials.revoke(account_id=TwilioAccount.objects.get().pk, now=NOW)


def replace(twilio: Twilio) -> None:
    account = TwilioAccount.objects.get()
    credentials.issue_secondary(account_id=account.pk)
    credentials.promote(account_id=account.pk)


def deactivate(twilio: Twilio) -> None:
    twilio.user.is_active = False
    twilio.user.save()


def leave(twilio: Twilio) -> None:
    twilio.user.groups.clear()


CHANGES = {revoke: (401, 20003), replace: (401, 20003), deactivate: (401, 20003), leave: (403, 20006)}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
class TestAChange:
    def test_of_this_process_is_seen_at_once(self, twilio: Twilio, memory: list[float], change) -> None:
        assert twilio.send().status_code == 201

        change(twilio)

        assert_error(twilio.send(), *CHANGES[change])

    def test_of_another_process_is_seen_within_a_second(
        self, twilio: Twilio, memory: list[float], change, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert twilio.send().status_code == 201
        monkeypatch.setattr("messaging.twilio_api.authentication.remembered.clear", lambda: None)

        change(twilio)
        assert twilio.send().status_code == 201
        memory[0] += SECONDS

        assert_error(twilio.send(), *CHANGES[change])


def test_a_revoked_key_is_refused_at_once_and_the_token_is_not(twilio: Twilio, memory: list[float]) -> None:
    key, secret = key_of(twilio)
    token, twilio.login = twilio.login, (key.sid, secret)
    assert twilio.get("Messages.json").status_code == 200

    credentials.revoke_key(key_id=key.pk, now=NOW)

    assert_error(twilio.get("Messages.json"), 401, 20003)
    twilio.login = token
    assert twilio.get("Messages.json").status_code == 200


def test_a_revoked_account_takes_its_keys_along(twilio: Twilio) -> None:
    key, secret = key_of(twilio)
    revoke(twilio)

    twilio.login = (key.sid, secret)
    assert_error(twilio.get("Messages.json"), 401, 20003)


def test_both_tokens_are_valid_while_one_is_replaced(twilio: Twilio) -> None:
    account = TwilioAccount.objects.get()
    _, second = credentials.issue_secondary(account_id=account.pk)

    for token in (twilio.token, second):
        twilio.login = (twilio.sid, token)
        assert twilio.get("Messages.json").status_code == 200


def test_a_remembered_credential_costs_no_query(twilio: Twilio, memory: list[float]) -> None:
    twilio.get("Balance.json")

    with CaptureQueriesContext(connection) as captured:
        assert twilio.get("Balance.json").status_code == 200

    assert len(captured) == 0


def test_the_last_use_is_written_once_a_minute(twilio: Twilio) -> None:
    def used() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            twilio.get("Balance.json")
        return [each["sql"] for each in captured if "UPDATE" in each["sql"]]

    assert len(used()) == 1
    first = TwilioAccount.objects.get().last_used_at
    assert used() == []
    TwilioAccount.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    assert len(used()) == 1
    assert first is not None


def test_the_use_of_a_key_is_noted_at_the_key(twilio: Twilio) -> None:
    key, secret = key_of(twilio)
    twilio.login = (key.sid, secret)
    twilio.get("Balance.json")

    key.refresh_from_db()
    assert key.last_used_at is not None
    assert TwilioAccount.objects.get().last_used_at is None


def test_guessing_is_limited_by_address_also_with_the_right_token(twilio: Twilio, settings) -> None:
    settings.RATE_LIMIT_FAILED_LOGINS = "2/m"
    right, twilio.login = twilio.login, (twilio.sid, "wrong")
    for _ in range(2):
        assert_error(twilio.get("Balance.json"), 401, 20003)

    for login in (twilio.login, right):
        twilio.login = login
        response = twilio.get("Balance.json")
        assert_error(response, 429, 20429)
        assert int(response.headers["Retry-After"]) >= 1


def test_requests_are_limited_for_each_credential(twilio: Twilio, settings) -> None:
    settings.RATE_LIMIT_PER_TOKEN = "2/m"
    assert [twilio.get("Balance.json").status_code for _ in range(2)] == [200, 200]

    response = twilio.get("Balance.json")

    assert_error(response, 429, 20429)
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    key, secret = key_of(twilio)
    twilio.login = (key.sid, secret)
    assert twilio.get("Balance.json").status_code == 200


def test_a_log_in_to_the_console_does_not_count(twilio: Twilio) -> None:
    browser = Client()
    browser.force_login(User.objects.create_superuser("boss"))

    assert_error(browser.get(f"/2010-04-01/Accounts/{twilio.sid}/Messages.json"), 401, 20003)


# --- The form of errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "Messages.json", 405, 20004),
        ("DELETE", "Messages.json", 405, 20004),
        ("PATCH", "Messages.json", 405, 20004),
        ("OPTIONS", "Messages.json", 405, 20004),
        ("POST", "Balance.json", 405, 20004),
        ("GET", "Calls.json", 404, 20404),
        ("GET", "/2010-04-01/", 404, 20404),
        ("GET", "/2010-04-01", 404, 20404),
        ("GET", "/2010-04-01/Accounts/ACx/Messages.json", 404, 20404),
        ("GET", "/2010-04-01/Accounts/%00", 404, 20404),
    ],
)
def test_other_paths_and_methods_have_the_same_form(
    twilio: Twilio, method: str, path: str, status: int, code: int
) -> None:
    response = twilio(method, path)

    assert_error(response, status, code)
    assert "OPTIONS" not in response.headers.get("Allow", "")


@pytest.mark.parametrize(("fault", "status", "code"), [(OperationalError, 503, 20503), (DatabaseError, 500, 20500)])
def test_a_fault_of_ours_has_the_same_form(twilio: Twilio, monkeypatch, fault, status: int, code: int) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise fault("the database says no")

    monkeypatch.setattr("messaging.twilio_api.messages.accept", fail)
    twilio._client.raise_request_exception = False

    response = twilio.send()

    assert_error(response, status, code)
    assert "says no" not in response.content.decode()
    assert ("Retry-After" in response.headers) == (status == 503)


def test_a_wrong_host_has_the_same_form(twilio: Twilio) -> None:
    assert_error(twilio("GET", "Messages.json", Host="other.example"), 400, 20001)


def test_the_answer_is_json_whatever_is_asked_for(twilio: Twilio) -> None:
    assert twilio("GET", "Balance.json", Accept="text/html").headers["Content-Type"] == "application/json"


def test_the_document_of_our_api_does_not_have_these_paths() -> None:
    assert "2010-04-01" not in Client().get("/api/schema/").content.decode()
