"""Credentials of clients of Twilio's API in the console."""

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from messaging.models import TwilioAccount, TwilioApiKey
from messaging.services.twilio import credentials
from tests.factories import NOW, TwilioAccountFactory, TwilioApiKeyFactory, UserFactory

pytestmark = pytest.mark.django_db

ACCOUNTS, KEYS = "/admin/messaging/twilioaccount/", "/admin/messaging/twilioapikey/"


def form(admin: Client, path: str, **values: object) -> dict[str, object]:
    return {"form_id": admin.get(f"{path}add/").context["adminform"].form["form_id"].value(), **values}


def assert_shown_once(admin: Client, page, secret: str, *paths: str) -> None:
    assert secret in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    for path in (*paths, "/admin/admin/logentry/"):
        assert secret not in admin.get(path).content.decode()
    assert not any(secret in entry.change_message for entry in LogEntry.objects.all())
    assert secret not in str(dict(admin.session))


def test_an_auth_token_is_shown_once(admin: Client) -> None:
    values = form(admin, ACCOUNTS, user=UserFactory(username="shop").pk)

    page = admin.post(f"{ACCOUNTS}add/", values)

    row = TwilioAccount.objects.get()
    assert credentials.verify(sid=row.sid, secret=page.context["secret"]) is not None
    assert row.sid in page.content.decode()
    assert_shown_once(admin, page, page.context["secret"], ACCOUNTS, f"{ACCOUNTS}{row.pk}/change/")
    assert "already created" in admin.post(f"{ACCOUNTS}add/", values, follow=True).content.decode()
    assert TwilioAccount.objects.get().secondary_token == ""


def test_a_user_has_one_account_and_after_its_revocation_a_new_token(admin: Client) -> None:
    row = TwilioAccountFactory()

    refused = admin.post(f"{ACCOUNTS}add/", form(admin, ACCOUNTS, user=row.user.pk))
    assert "user" in refused.context["adminform"].form.errors
    credentials.revoke(account_id=row.pk, now=NOW)
    page = admin.post(f"{ACCOUNTS}add/", form(admin, ACCOUNTS, user=row.user.pk))

    assert credentials.verify(sid=row.sid, secret=page.context["secret"]) is not None
    assert credentials.verify(sid=row.sid, secret="a" * 32) is None


def test_a_secondary_token_is_issued_for_a_reason_and_shown_once(admin: Client) -> None:
    row = TwilioAccountFactory()
    path = f"{ACCOUNTS}{row.pk}/secondary/"
    assert path in admin.get(f"{ACCOUNTS}{row.pk}/change/").content.decode()
    form_id = admin.get(path).context["form_id"]

    assert "secret" not in admin.post(path, {"form_id": form_id}).context
    page = admin.post(path, {"form_id": form_id, "reason": "it leaked"})

    secret = page.context["secret"]
    assert_shown_once(admin, page, secret, ACCOUNTS, f"{ACCOUNTS}{row.pk}/change/")
    assert credentials.verify(sid=row.sid, secret=secret) is not None
    assert LogEntry.objects.get().change_message == "Issue a secondary token. Reason: it leaked"
    admin.post(path, {"form_id": form_id, "reason": "it leaked"})
    assert credentials.verify(sid=row.sid, secret=secret) is not None


def promote(row: TwilioAccount) -> bool:
    return credentials.verify(sid=row.sid, secret="a" * 32) is None and TwilioAccount.objects.get().revoked_at is None


def revoke(row: TwilioAccount) -> bool:
    return TwilioAccount.objects.get().revoked_at is not None


@pytest.mark.parametrize(("action", "is_done"), [("promote_selected", promote), ("revoke_selected", revoke)])
def test_a_credential_is_changed_with_a_reason(admin: Client, action: str, is_done: Callable[..., bool]) -> None:
    row = TwilioAccountFactory()
    credentials.issue_secondary(account_id=row.pk)
    data = {"action": action, "_selected_action": [str(row.pk)]}

    assert "refused" in admin.post(ACCOUNTS, data).content.decode()
    assert not is_done(row)
    admin.post(ACCOUNTS, {**data, "reason": "the client has moved"})

    assert is_done(row)
    assert "Reason: the client has moved" in LogEntry.objects.get().change_message


def test_a_revoked_credential_gets_no_secondary_token(admin: Client) -> None:
    row = TwilioAccountFactory(revoked_at=NOW)

    assert "secondary/" not in admin.get(f"{ACCOUNTS}{row.pk}/change/").content.decode()
    page = admin.post(f"{ACCOUNTS}{row.pk}/secondary/", {"form_id": "x", "reason": "y"}, follow=True)
    assert "is revoked" in page.content.decode()
    assert admin.get(f"{ACCOUNTS}0/secondary/").status_code == 404


def test_a_key_is_made_shown_once_and_revoked(admin: Client) -> None:
    row = TwilioAccountFactory()
    values = form(admin, KEYS, account=row.pk, label="the till")

    page = admin.post(f"{KEYS}add/", values)

    key = TwilioApiKey.objects.get()
    assert credentials.verify(sid=key.sid, secret=page.context["secret"]).key == key
    assert_shown_once(admin, page, page.context["secret"], KEYS, f"{KEYS}{key.pk}/change/")
    admin.post(f"{KEYS}add/", values)
    assert TwilioApiKey.objects.count() == 1

    admin.post(KEYS, {"action": "revoke_selected", "_selected_action": [str(key.pk)], "reason": "lost"})
    assert credentials.verify(sid=key.sid, secret=page.context["secret"]) is None


def test_one_key_too_many_is_refused(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_KEYS", 1)
    key = TwilioApiKeyFactory()

    page = admin.post(f"{KEYS}add/", form(admin, KEYS, account=key.account.pk, label="the till"), follow=True)

    assert "There are 1 API keys already; revoke one." in page.content.decode()
    assert TwilioApiKey.objects.get() == key


@pytest.mark.parametrize(("path", "make"), [(ACCOUNTS, TwilioAccountFactory), (KEYS, TwilioApiKeyFactory)])
def test_they_are_neither_changed_nor_deleted(admin: Client, path: str, make) -> None:
    row = make()

    assert admin.get(f"{path}{row.pk}/delete/").status_code == 403
    assert admin.get(f"{path}{row.pk}/change/").status_code == 200
    assert admin.post(f"{path}{row.pk}/change/", {"label": "x", "_reason": "x"}).status_code == 403


def test_the_page_of_the_secondary_token_needs_the_permission() -> None:
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_twilioaccount"))
    client, row = Client(), TwilioAccountFactory()
    client.force_login(viewer)

    assert client.get(f"{ACCOUNTS}{row.pk}/change/").status_code == 200
    for method in (client.get, client.post):
        assert method(f"{ACCOUNTS}{row.pk}/secondary/", {"reason": "x"}).status_code == 403
    assert TwilioAccount.objects.get().secondary_token == ""
