"""Provider accounts in the console: row actions and events."""

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from providers.errors import Refused, Unavailable
from providers.models import ProviderAccount, ProviderEvent
from providers.state import account_state
from providers.state.account_state import CallResult
from tests.factories import NOW, AccountFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("enable_selected", "enabled"),
        ("disable_selected", "disabled"),
        ("hold_open_selected", "held_open"),
        ("reset_selected", "reset"),
    ],
)
def test_an_action_is_recorded_with_actor_and_reason(staff, action: str, kind: str) -> None:
    account = AccountFactory()
    data = {"action": action, ACTION_CHECKBOX_NAME: [account.pk], "reason": "maintenance"}

    assert staff.post(reverse("admin:providers_provideraccount_changelist"), data).status_code == 302

    event = ProviderEvent.objects.get()
    assert (event.account, event.kind, event.detail) == (account, kind, "maintenance")
    assert event.actor.is_staff
    assert ProviderAccount.objects.get().is_enabled is (kind != "disabled")


def test_the_page_of_an_account_shows_its_events(staff) -> None:
    account = AccountFactory()
    ProviderEvent.objects.create(account=account, at=NOW, kind="needs_operator", detail="answered 401")

    page = staff.get(reverse("admin:providers_provideraccount_change", args=[account.pk]))

    assert page.status_code == 200
    assert "answered 401" in page.content.decode()


def test_the_list_of_accounts_shows_refusals_apart_from_errors(staff) -> None:
    AccountFactory(slug="acme")
    calls = [CallResult("acme", error, 5) for error in (None, Refused("no"), Refused("no"), Unavailable("down"))]
    account_state.record(calls, now=timezone.now())

    page = staff.get(reverse("admin:providers_provideraccount_changelist")).content.decode()

    assert "Refused, 15 min" in page
    assert page.index("25.0 %") < page.index("50.0 %")


def test_the_list_of_events_can_only_be_read(staff) -> None:
    ProviderEvent.objects.create(account=AccountFactory(), at=NOW, kind="needs_operator", detail="answered 401")
    url = reverse("admin:providers_providerevent_changelist")

    assert "answered 401" in staff.get(url).content.decode()
    assert staff.get(reverse("admin:providers_providerevent_add")).status_code == 403


def test_a_viewer_sees_the_config_without_inline_styles() -> None:
    """unfold would colour it with inline styles, which the Content-Security-Policy blocks."""
    account = AccountFactory(config={"url": "http://127.0.0.1:9/<send>", "fields": {"to": "who"}})
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_provideraccount"))
    client = Client()
    client.force_login(viewer)

    page = client.get(reverse("admin:providers_provideraccount_change", args=[account.pk])).content.decode()

    assert "&quot;url&quot;: &quot;http://127.0.0.1:9/&lt;send&gt;&quot;" in page
    assert " style=" not in page
