"""While the database is unavailable, requests get a 503: a page in the console, a problem in the API."""

import logging

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, OperationalError
from django.test import Client

from tests.config.outage import away

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> Client:
    client = Client(raise_request_exception=False)
    user = get_user_model().objects.create_superuser("root", password="secret")
    client.force_login(user)
    return client


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("path", ["/admin/", "/admin/messaging/message/", "/admin/live/"])
def test_a_console_page_is_a_503_page(staff: Client, path: str, error: type[DatabaseError]) -> None:
    with away(error):
        response = staff.get(path)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.headers["Content-Type"].startswith("text/html")
    assert "The database is unavailable; try again in a moment." in response.text
    assert "db.internal" not in response.text


def test_a_log_in_is_a_503_page(staff: Client) -> None:
    with away():
        response = Client(raise_request_exception=False).post(
            "/admin/login/", {"username": "root", "password": "secret"}
        )

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_middleware_that_cannot_write_the_session_after_the_view_is_a_503_page() -> None:
    get_user_model().objects.create_superuser("root", password="secret")
    client = Client(raise_request_exception=False)

    with away(only='UPDATE "django_session"'), away(only='INSERT INTO "django_session"'):
        response = client.post("/admin/login/", {"username": "root", "password": "secret"})

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "The database is unavailable" in response.text


@pytest.mark.parametrize("path", ["/api/v1/messages/", "/webhooks/sandbox1/status/"])
def test_programs_get_a_problem(path: str) -> None:
    with away():
        response = Client(raise_request_exception=False, headers={"Authorization": "Bearer x"}).post(path)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "unavailable"


def test_the_log_has_one_line_without_a_traceback(staff: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), away():
        staff.get("/admin/")

    assert [(record.name, record.exc_info) for record in caplog.records] == [("config.problems", None)]


def test_another_failure_is_still_a_500_with_its_traceback(staff: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), away(DatabaseError):
        response = staff.get("/admin/")

    assert response.status_code == 500
    assert [record.name for record in caplog.records] == ["django.request"]
    assert caplog.records[0].exc_info
