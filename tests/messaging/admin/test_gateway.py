"""Gateway credentials in the console."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import check_password
from django.test import Client

from messaging.models import GatewayCredential
from messaging.services.gateway import sessions
from tests.factories import NOW, GatewayCredentialFactory, UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/messaging/gatewaycredential/"
ADD = f"{LIST}add/"


def form(admin: Client, **values: object) -> dict[str, object]:
    form_id = admin.get(ADD).context["adminform"].form["form_id"].value()
    return {
        "user": UserFactory().pk,
        "system_id": "shop",
        "label": "the shop",
        "allowed": "192.0.2.7, 10.1.0.0/16",
        "max_sessions": 3,
        "form_id": form_id,
        **values,
    }


def test_the_password_is_shown_once_and_only_its_hash_is_stored(admin: Client) -> None:
    values = form(admin)

    page = admin.post(ADD, values)

    row = GatewayCredential.objects.get()
    password = page.context["password"]
    assert check_password(password, row.password)
    assert password in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert (row.system_id, row.label, row.max_sessions) == ("shop", "the shop", 3)
    assert row.allowed_addresses == ["192.0.2.7/32", "10.1.0.0/16"]
    admin.post(ADD, values, follow=True)
    assert GatewayCredential.objects.count() == 1
    for path in (LIST, f"{LIST}{row.pk}/change/", "/admin/admin/logentry/"):
        shown = admin.get(path).content.decode()
        assert "shop" in shown
        assert password not in shown
        assert row.password not in shown
    assert [password in entry.change_message for entry in LogEntry.objects.all()] == [False]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"system_id": "a b"}, "system_id"),
        ({"system_id": "taken"}, "system_id"),
        ({"allowed": "nonsense"}, "allowed"),
        ({"max_sessions": 0}, "max_sessions"),
        ({"max_sessions": 101}, "max_sessions"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(admin: Client, values: dict[str, object], field: str) -> None:
    GatewayCredentialFactory(system_id="taken")

    page = admin.post(ADD, form(admin, **values))

    assert field in page.context["adminform"].form.errors
    assert GatewayCredential.objects.count() == 1


@pytest.mark.parametrize(("ticked", "expected"), [({"receives_texts": "on"}, True), ({}, False)])
def test_texts_are_delivered_only_if_that_is_asked_for(admin: Client, ticked: dict[str, str], expected: bool) -> None:
    page = admin.post(ADD, form(admin, **ticked))

    row = GatewayCredential.objects.get()
    assert row.receives_texts is expected
    assert ("receipts and texts" in page.content.decode()) is expected


def test_a_credential_is_revoked_with_a_reason(admin: Client) -> None:
    row = GatewayCredentialFactory(system_id="shop")

    data = {"action": "revoke_selected", "_selected_action": [str(row.pk)]}
    asked = admin.post(LIST, data)
    assert "Its sessions are closed" in asked.content.decode()
    row.refresh_from_db()
    assert row.revoked_at is None

    admin.post(LIST, {**data, "reason": "the client has moved"})
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert LogEntry.objects.get().change_message == "Revoke. Reason: the client has moved"


def test_the_list_shows_the_open_sessions(admin: Client) -> None:
    row = GatewayCredentialFactory(system_id="shop", max_sessions=5)
    sessions.bind(credential=row, kind="receiver", address="192.0.2.7", now=NOW)

    assert "0 of 5" in admin.get(LIST).content.decode()


def test_it_is_neither_changed_nor_deleted(admin: Client) -> None:
    row = GatewayCredentialFactory()

    assert admin.get(f"{LIST}{row.pk}/delete/").status_code == 403
    admin.post(f"{LIST}{row.pk}/change/", {"max_sessions": 9, "_reason": "x"})
    row.refresh_from_db()
    assert row.max_sessions == 2
