"""Every response has the policy; only the console may evaluate expressions."""

import pytest
from django.test import Client

POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def policy(path: str) -> dict[str, str]:
    header = Client().get(path).headers["Content-Security-Policy"]
    return {name: rest for name, _, rest in (part.strip().partition(" ") for part in header.split(";"))}


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/docs/", "/api/schema/", "/api/v1/messages/", "/no/such/path"])
@pytest.mark.django_db
def test_nothing_comes_from_elsewhere_and_nothing_is_inline(path: str) -> None:
    assert policy(path) == POLICY


@pytest.mark.django_db
def test_the_console_may_evaluate_the_expressions_of_its_menus() -> None:
    assert policy("/admin/login/") == {**POLICY, "script-src": "'self' 'unsafe-eval'"}


@pytest.mark.parametrize("path", ["/", "/api/docs/", "/admin/login/"])
@pytest.mark.django_db
def test_a_page_has_no_inline_script_or_style(path: str) -> None:
    page = Client().get(path).content.decode()

    assert "<style" not in page
    assert "style=" not in page
    assert "<script>" not in page
