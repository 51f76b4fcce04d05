"""Row actions, edits and deletions in every registered admin require a reason."""

import pytest
from django.contrib import admin as site_of_django
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import LogEntry
from django.test import Client, RequestFactory
from django_celery_beat.models import PeriodicTask
from redis.exceptions import ConnectionError as RedisConnectionError

from messaging.console.model_admin import REASON_REQUIRED
from messaging.models import OutboundQueue
from messaging.services.reporting import heartbeats
from tests.config.admin.rows import MAKERS
from tests.factories import AccountFactory, MessageFactory, QueueFactory, UserFactory

pytestmark = pytest.mark.django_db
ADMINS = [pytest.param(row, id=row.opts.label_lower) for row in site_of_django.site._registry.values()]
ACTIONS = [
    pytest.param(row, action, id=f"{row.opts.label_lower}-{action.name}")
    for row in site_of_django.site._registry.values()
    for action in row.row_actions
]
PASSWORD = "a long afternoon"
QUEUE = "/admin/messaging/outboundqueue/"


def path_of(row: ModelAdmin) -> str:
    return f"/admin/{row.opts.app_label}/{row.opts.model_name}/"


@pytest.mark.parametrize("row", ADMINS)
def test_row_actions_and_deletion_are_the_only_actions(row: ModelAdmin) -> None:
    request = RequestFactory().get("/")
    request.user = UserFactory(is_staff=True, is_superuser=True)

    assert set(row.get_actions(request)) <= {action.name for action in row.row_actions} | {"delete_selected"}


@pytest.mark.parametrize(("row", "action"), ACTIONS)
@pytest.mark.parametrize("given", [{}, {"reason": ""}, {"reason": "  \n"}], ids=["not asked yet", "empty", "blank"])
def test_an_action_without_a_reason_asks_for_one_and_changes_nothing(
    admin: Client, row: ModelAdmin, action, given: dict[str, str]
) -> None:
    MAKERS[path_of(row)[len("/admin/") : -1]](1)
    before = list(row.model._base_manager.values())
    chosen = [str(each.pk) for each in row.model._base_manager.all()]

    page = admin.post(path_of(row), {"action": action.name, "_selected_action": chosen, **given})

    assert page.status_code == 200
    assert 'name="reason"' in page.content.decode()
    assert list(row.model._base_manager.values()) == before
    assert not LogEntry.objects.filter(user=admin.user).exists()


def test_an_edit_without_a_reason_is_not_stored(admin: Client) -> None:
    QueueFactory(description="as it was")
    shown = admin.get(f"{QUEUE}express/change/").context["adminform"].form
    data = {name: value for name in shown.fields if (value := shown[name].value()) is not None}

    page = admin.post(f"{QUEUE}express/change/", {**data, "description": "other", "_reason": "  "})

    assert page.status_code == 200
    assert page.context["adminform"].form.non_field_errors() == [REASON_REQUIRED]
    assert OutboundQueue.objects.get().description == "as it was"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("path", ["messaging/outboundqueue/express", "providers/provideraccount/acme"])
def test_the_reason_is_kept_when_the_form_has_an_error(admin: Client, path: str) -> None:
    QueueFactory(), AccountFactory(slug="acme")

    page = admin.post(f"/admin/{path}/change/", {"batch_size": "x", "config": "{", "_reason": 'the "new" pace'})

    assert page.context["adminform"].form.errors
    assert 'value="the &quot;new&quot; pace"' in page.content.decode()


def test_changing_the_password_of_another_user_requires_a_reason(admin: Client) -> None:
    user = UserFactory()
    page = f"/admin/auth/user/{user.pk}/password/"
    form = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true", "set-password": "1"}

    refused = admin.post(page, {**form, "_reason": " "}, follow=True)
    again = admin.post(page, {**form, "password2": "x", "_reason": "forgotten"})
    user.refresh_from_db()
    before = user.password
    admin.post(page, {**form, "_reason": "forgotten"})
    user.refresh_from_db()

    assert [str(message) for message in refused.context["messages"]] == [REASON_REQUIRED]
    assert 'value="forgotten"' in again.content.decode()
    assert (before, user.check_password(PASSWORD)) == ("", True)
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Changed password. Reason: forgotten"]


def test_a_suppression_has_one_reason_which_is_logged(admin: Client) -> None:
    page = "/admin/messaging/suppression/add/"

    form = admin.get(page).content.decode()
    admin.post(page, {"number": "+14155550101", "sender": "", "reason": "has called us"})

    assert 'name="_reason"' not in form
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Added. Reason: has called us"]


@pytest.mark.parametrize("row", ADMINS)
@pytest.mark.parametrize("key", ["garbage?", "9" * 30, ""])
def test_an_invalid_key_selects_no_row(admin: Client, row: ModelAdmin, key: str) -> None:
    actions = [action.name for action in row.row_actions] + ["delete_selected"]

    for action in actions:
        data = {"action": action, "_selected_action": key, "reason": "x", "_reason": "x", "post": "yes"}
        assert admin.post(path_of(row), data).status_code in {200, 302}

    assert not LogEntry.objects.exists()


def test_a_deletion_named_with_another_action_requires_a_reason(admin: Client) -> None:
    QueueFactory()

    admin.post(QUEUE, {"post": "yes", "action": ["delete_selected", "other"], "_selected_action": "express"})

    assert OutboundQueue.objects.exists()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"{QUEUE}express/delete/", {"post": "yes"}),
        (QUEUE, {"post": "yes", "action": "delete_selected", "_selected_action": "express"}),
    ],
)
def test_a_deletion_without_a_reason_deletes_nothing(admin: Client, path: str, data: dict[str, str]) -> None:
    QueueFactory()

    refused = admin.post(path, {**data, "_reason": " "}, follow=True)

    assert [str(message) for message in refused.context["messages"]] == [REASON_REQUIRED]
    assert OutboundQueue.objects.exists()
    assert not LogEntry.objects.exists()

    admin.post(path, {**data, "_reason": "no longer used"})
    assert not OutboundQueue.objects.exists()


def test_fields_changed_by_row_actions_are_not_in_the_forms(admin: Client) -> None:
    MAKERS["messaging/outboundqueue"](1), MAKERS["providers/provideraccount"](1)
    registry = {row.opts.model_name: row for row in site_of_django.site._registry.values()}

    forms = {}
    for name in ("outboundqueue", "provideraccount"):
        pk = registry[name].model.objects.first().pk
        forms[name] = set(admin.get(f"{path_of(registry[name])}{pk}/change/").context["adminform"].form.fields)

    assert "is_paused" not in forms["outboundqueue"]
    assert "is_enabled" not in forms["provideraccount"]


class TestDeletionPages:
    """They count dependent rows without loading them."""

    def test_protected_rows_are_reported(self, admin: Client) -> None:
        MessageFactory.create_batch(3, queue=QueueFactory())

        page = admin.get(f"{QUEUE}express/delete/").content.decode()

        assert "cannot be deleted" in page
        assert "3 messages" in page
        assert admin.post(f"{QUEUE}express/delete/", {"post": "yes", "_reason": "x"}).status_code == 200
        assert OutboundQueue.objects.exists()

    def test_it_costs_the_same_for_one_row_and_for_fifty(self, admin: Client, django_assert_max_num_queries) -> None:
        costs = []
        for more in (1, 49):
            MessageFactory.create_batch(more, queue=QueueFactory())
            with django_assert_max_num_queries(40) as queries:
                admin.get(f"{QUEUE}express/delete/")
            costs.append(len(queries))

        assert costs[0] == costs[1]


def test_a_task_that_cannot_be_published_is_not_logged_as_run(admin: Client, no_redis) -> None:
    path = "/admin/django_celery_beat/periodictask/"
    MAKERS[path[len("/admin/") : -1]](1)
    task = PeriodicTask.objects.get()
    with pytest.raises(RedisConnectionError):
        heartbeats.ticks()  # the process now knows that Redis is unavailable

    page = admin.post(path, {"action": "run_selected", "_selected_action": [task.pk], "reason": "a test"}, follow=True)

    assert "The broker is unavailable" in page.content.decode()
    assert not LogEntry.objects.filter(user=admin.user).exists()
