"""The audit log records every change by staff with its reason."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from messaging.models import ApiToken
from tests.factories import PhoneNumberFactory, QueueFactory, UserFactory

LIST = "/admin/admin/logentry/"
QUEUE = {
    "description": "x",
    "batch_size": "3",
    "interval_seconds": "60",
    "routing_strategy": "weighted",
    "preserve_order": "on",
}

pytestmark = pytest.mark.django_db


def logged() -> list[tuple[str, str]]:
    return [(entry.object_repr, entry.get_change_message()) for entry in LogEntry.objects.order_by("pk")]


def pause(client: Client, queue: str, *, reason: str) -> None:
    client.post(
        "/admin/messaging/outboundqueue/", {"action": "pause_selected", "_selected_action": queue, "reason": reason}
    )


def test_an_edit_is_logged_with_its_reason(admin: Client) -> None:
    QueueFactory()
    strategy = (
        admin.get("/admin/messaging/outboundqueue/express/change/")
        .context["adminform"]
        .form["routing_strategy"]
        .value()
    )

    admin.post(
        "/admin/messaging/outboundqueue/express/change/", {**QUEUE, "routing_strategy": strategy, "_reason": "too fast"}
    )

    assert logged() == [
        ("express", "Changed Description, Batch size and Interval seconds. Reason: too fast"),
    ]


@pytest.mark.parametrize(
    ("path", "row", "action", "expected"),
    [
        ("messaging/outboundqueue", "express", "pause_selected", "Pause. Reason: maintenance"),
        ("messaging/outboundqueue", "express", "resume_selected", "Resume. Reason: maintenance"),
        ("messaging/phonenumber", "+14155550101", "deactivate_selected", "Deactivate. Reason: maintenance"),
        ("messaging/phonenumber", "+14155550101", "activate_selected", "Activate. Reason: maintenance"),
    ],
)
def test_a_row_action_is_logged_with_its_reason(admin: Client, path: str, row: str, action: str, expected: str) -> None:
    QueueFactory(), PhoneNumberFactory(number="+14155550101")

    admin.post(f"/admin/{path}/", {"action": action, "_selected_action": row, "reason": "maintenance"})

    assert logged() == [(row, expected)]


def test_a_deletion_is_logged_with_its_reason(admin: Client) -> None:
    token, _ = ApiToken.objects.create(user=UserFactory(username="shop"), name="till")

    admin.post(f"/admin/messaging/apitoken/{token.pk}/delete/", {"post": "yes", "_reason": "lost"})

    assert [message for _, message in logged()] == ["Deleted. Reason: lost"]
    assert not ApiToken.objects.exists()


def test_a_new_token_is_logged_without_its_text(admin: Client) -> None:
    page = admin.post("/admin/messaging/apitoken/add/", {"user": admin.user.pk, "name": "till", "days": "30"})

    [(row, message)] = logged()
    assert page.context["token"] not in row + message
    assert page.context["token"] in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]


def test_reloading_the_page_of_a_new_token_creates_no_second_one(admin: Client) -> None:
    form_id = admin.get("/admin/messaging/apitoken/add/").context["adminform"].form["form_id"].value()
    form = {"user": admin.user.pk, "name": "till", "days": "30", "form_id": form_id}
    token = admin.post("/admin/messaging/apitoken/add/", form).context["token"]

    again = admin.post("/admin/messaging/apitoken/add/", form, follow=True)

    assert ApiToken.objects.count() == 1
    assert len(logged()) == 1
    assert token not in again.content.decode()
    assert again.redirect_chain == [("/admin/messaging/apitoken/", 302)]
    assert admin.post("/admin/messaging/apitoken/add/", {**form, "form_id": "another"}).status_code == 200
    assert ApiToken.objects.count() == 2


def test_the_log_shows_reasons_and_can_be_searched(admin: Client) -> None:
    QueueFactory(), QueueFactory(name="paced")
    for name in ("express", "paced"):
        admin.post(
            "/admin/messaging/outboundqueue/",
            {"action": "pause_selected", "_selected_action": name, "reason": f"<{name}>"},
        )

    page = admin.get(LIST).content.decode()
    found = admin.get(f"{LIST}?q=paced").context["cl"].result_list

    assert "Pause. Reason: &lt;express&gt;" in page
    assert [entry.object_id for entry in found] == ["paced"]
    assert admin.post(LIST, {"action": "delete_selected", "_selected_action": "1"}).status_code in {200, 302}
    assert LogEntry.objects.count() == 2


def test_the_log_costs_the_same_for_one_entry_and_for_fifty(admin: Client) -> None:
    costs = []
    for more in (1, 49):
        for number in range(more):
            queue = QueueFactory(name=f"q{more}-{number}")
            admin.post(
                "/admin/messaging/outboundqueue/",
                {"action": "pause_selected", "_selected_action": queue.pk, "reason": "x"},
            )
        admin.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert len(admin.get(LIST).context["cl"].result_list) == (1 if more == 1 else 50)
        costs.append(len(queries))

    assert costs[0] == costs[1]
