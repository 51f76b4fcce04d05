"""The console's log-in page refuses addresses with too many failed log-ins."""

import pytest
from django.test import Client

from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
FORM = {"username": "ada", "password": "correct horse"}


@pytest.fixture(autouse=True)
def _ada(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.RATE_LIMIT_FAILED_LOGINS = "10/h"  # a test rarely meets the end of the window
    user = UserFactory(username="ada", is_staff=True)
    user.set_password(FORM["password"])
    user.save()


def log_in(**changes: str):
    return Client().post("/admin/login/?next=/admin/", {**FORM, **changes})


def test_the_right_password_opens() -> None:
    response = log_in()

    assert (response.status_code, response.headers["Location"]) == (302, "/admin/")


def test_ten_wrong_ones_close_it_for_a_while_also_to_the_right_one() -> None:
    assert [log_in(password="x").status_code for _ in range(10)] == [200] * 10

    response = log_in()

    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert "sessionid" not in response.cookies


def test_reading_the_page_is_not_counted(client: Client) -> None:
    assert [client.get("/admin/login/").status_code for _ in range(12)] == [200] * 12
    assert log_in().status_code == 302


def test_guesses_at_the_api_count_too() -> None:
    for _ in range(10):
        Client().post("/api/v1/auth/token/", headers={"Authorization": "Basic YWRhOng="})

    assert log_in().status_code == 429


def test_while_redis_is_unavailable_failures_are_counted_in_the_process(no_redis) -> None:
    assert [log_in(password="x").status_code for _ in range(10)] == [200] * 10

    assert log_in().status_code == 429
