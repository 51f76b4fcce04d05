"""What each role can see and do in the console."""

import re

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from messaging.console import audit
from messaging.models import Message, OutboundQueue
from messaging.services import installation
from providers.models import ProviderEvent
from scheduling.models import Schedule
from tests.config.admin.rows import MAKERS
from tests.factories import NOW, AccountFactory, MessageFactory, QueueFactory, UserFactory

pytestmark = pytest.mark.django_db
PATHS = {
    "messages": "/admin/messaging/message/",
    "send": "/admin/messaging/message/send/",
    "callbacks": "/admin/messaging/providercallback/",
    "schedules": "/admin/scheduling/schedule/",
    "new schedule": "/admin/scheduling/schedule/add/",
    "queues": "/admin/messaging/outboundqueue/",
    "providers": "/admin/providers/provideraccount/",
    "numbers": "/admin/messaging/phonenumber/",
    "audit": "/admin/admin/logentry/",
    "tasks": "/admin/django_celery_beat/periodictask/",
    "users": "/admin/auth/user/",
    "groups": "/admin/auth/group/",
    "tokens": "/admin/messaging/apitoken/",
    "templates": "/admin/messaging/messagetemplate/",
    "verifications": "/admin/messaging/verification/",
    "conversion": "/admin/messaging/verification/conversion/",
    "opt-out cases": "/admin/messaging/optoutcase/",
    "hours": "/admin/messaging/hoursrule/",
    "prefixes": "/admin/messaging/prefixrule/",
    "new prefix": "/admin/messaging/prefixrule/add/",
    "velocity limits": "/admin/messaging/velocitylimit/",
    "new velocity limit": "/admin/messaging/velocitylimit/add/",
    "SMS pumping": "/admin/messaging/pumpingalert/",
    "held by hours": "/admin/messaging/hoursrule/held/",
    "new hours": "/admin/messaging/hoursrule/add/",
    "budgets": "/admin/messaging/budget/",
    "new budget": "/admin/messaging/budget/add/",
    "quiet hours": "/admin/messaging/ownerpolicy/",
    "senders by country": "/admin/messaging/countrysenders/",
    "new country": "/admin/messaging/countrysenders/add/",
    "new quiet hours": "/admin/messaging/ownerpolicy/add/",
    "costs": "/admin/messaging/message/costs/",
    "alert receivers": "/admin/messaging/alertreceiver/",
    "gateway credentials": "/admin/messaging/gatewaycredential/",
    "twilio credentials": "/admin/messaging/twilioaccount/",
    "twilio keys": "/admin/messaging/twilioapikey/",
}
VIEWER = {"messages", "callbacks", "schedules", "queues", "providers", "numbers", "audit", "tasks", "alert receivers"}
VIEWER |= {"hours", "held by hours", "opt-out cases", "prefixes", "SMS pumping", "velocity limits", "verifications"}
VIEWER |= {"templates", "budgets", "conversion", "costs", "quiet hours", "senders by country"}
READER = {"messages", "numbers", "opt-out cases", "prefixes", "queues", "schedules", "velocity limits", "verifications"}
READER |= {"templates", "budgets", "costs", "quiet hours"}
SEEN = {
    "Viewer": VIEWER,
    "Operator": VIEWER
    | {
        "send",
        "new schedule",
        "new hours",
        "new prefix",
        "new velocity limit",
        "new quiet hours",
        "new country",
        "new budget",
    },
    "API reader": READER,
    "API sender": READER | {"send", "new schedule"},
    "API operator": READER | {"conversion", "providers", "new budget"},
}


def member(name: str) -> Client:
    installation.install()
    user = UserFactory(is_staff=True)
    user.groups.add(Group.objects.get(name=name))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("role", SEEN)
def test_each_role_opens_its_pages_and_no_other(role: str) -> None:
    client = member(role)

    statuses = {name: client.get(path).status_code for name, path in PATHS.items()}

    assert {name for name, status in statuses.items() if status == 200} == SEEN[role]
    assert set(statuses.values()) <= {200, 403}


@pytest.mark.parametrize("role", SEEN)
def test_all_menu_links_open(role: str) -> None:
    client = member(role)

    page = client.get("/admin/")

    links = [item["link"] for group in page.context["sidebar_navigation"] for item in group["items"]]
    assert {client.get(link).status_code for link in links} == {200}


def test_users_who_are_not_staff_see_nothing() -> None:
    client = Client()
    client.force_login(UserFactory())

    assert {client.get(path).status_code for path in PATHS.values()} == {302}


def test_a_viewer_changes_nothing_anywhere() -> None:
    client = member("Viewer")
    queue = QueueFactory()
    message = MessageFactory(status="failed", queue=queue)
    request = client.get("/admin/").wsgi_request

    for row in django_admin.site._registry.values():
        name = f"admin:{row.opts.app_label}_{row.opts.model_name}"
        if row.has_view_permission(request):
            offered = client.get(reverse(f"{name}_changelist")).context["action_form"]
            assert offered is None, name
        assert client.post(reverse(f"{name}_add"), {}).status_code == 403, name
    client.post(
        "/admin/messaging/outboundqueue/", {"action": "pause_selected", "_selected_action": "express", "reason": "x"}
    )
    client.post(f"/admin/messaging/outboundqueue/{queue.pk}/change/", {"name": "express", "is_paused": "on"})
    client.post(
        "/admin/messaging/message/", {"action": "retry_selected", "_selected_action": str(message.pk), "reason": "x"}
    )

    assert not OutboundQueue.objects.get(pk="express").is_paused
    assert Message.objects.get().status == "failed"
    assert not Schedule.objects.exists()


def test_an_operator_can_pause_but_not_create_or_delete_a_queue() -> None:
    client = member("Operator")
    QueueFactory()

    client.post(
        "/admin/messaging/outboundqueue/", {"action": "pause_selected", "_selected_action": "express", "reason": "x"}
    )

    assert OutboundQueue.objects.get(pk="express").is_paused
    assert client.get("/admin/messaging/outboundqueue/add/").status_code == 403
    assert client.get("/admin/messaging/outboundqueue/express/delete/").status_code == 403


def pages_of(client: Client) -> dict[str, str]:
    """Return the list and one row's page of every model that this client may view, by path."""
    found = {}
    request = client.get("/admin/").wsgi_request
    for model, row in django_admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        MAKERS[f"{model._meta.app_label}/{model._meta.model_name}"](1)
        if row.has_view_permission(request):
            newest = model._default_manager.order_by("-pk").first()
            for path in (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[newest.pk])):
                found[path] = client.get(path).content.decode()
    return found


def test_no_page_of_a_viewer_has_forbidden_links_or_inline_styles() -> None:
    """The Content-Security-Policy blocks inline styles, which logs an error in the browser's console."""
    client = member("Viewer")
    account = AccountFactory()
    ProviderEvent.objects.create(account=account, at=NOW, kind="disabled", actor=UserFactory())
    audit.record(UserFactory(), [UserFactory(), account], "Viewed")

    pages = {
        **pages_of(client),
        **{
            path: client.get(path).content.decode()
            for path in ("/admin/", reverse("admin:providers_provideraccount_change", args=[account.pk]))
        },
    }

    links = {link for page in pages.values() for link in re.findall(r'href="(/admin/[^"]*)"', page)}
    assert len(pages) > 25
    assert {link for link in links if client.get(link.replace("&amp;", "&")).status_code == 403} == set()
    assert [path for path, page in pages.items() if re.search(r"<[^>]* style=", page)] == []
