"""Row actions on messages: with a reason, through the services, and recorded in the audit log."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from messaging.models import Message, MessageEvent
from tests.factories import AttemptFactory, MessageFactory
from tests.messaging.admin.conftest import Staff

LIST = "/admin/messaging/message/"


def run_action(client: Client, name: str, *rows: Message, **more: str):
    data = {"action": name, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(LIST, data, follow="reason" in more)


def shown(response) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_an_action_without_a_reason_asks_for_one_and_changes_nothing(admin: Client, reason: str | None) -> None:
    message = MessageFactory(status="failed")

    page = run_action(admin, "retry_selected", message, **({} if reason is None else {"reason": reason}))

    assert (page.status_code, page.templates[0].name) == (200, "console/row_action.html")
    assert Message.objects.get().status == "failed"
    assert not MessageEvent.objects.exists()
    assert not LogEntry.objects.exists()


def test_retry(admin: Client, broker) -> None:
    messages = [MessageFactory(status=status) for status in ("failed", "unknown", "delivered")[:2]]
    delivered = MessageFactory(delivered=True)

    page = run_action(admin, "retry_selected", *messages, delivered, reason="the customer asked")

    assert shown(page) == [
        ("success", "2 messages queued again."),
        (
            "warning",
            "1 message not changed: The message is delivered; only a failed, undelivered or unknown one can be retried.",
        ),
    ]
    assert sorted(Message.objects.values_list("status", flat=True)) == ["delivered", "queued", "queued"]
    assert broker.notified == ["express"]
    assert (
        list(MessageEvent.objects.values_list("to_status", "source", "detail", "actor"))
        == [("queued", "operator", "the customer asked", admin.user.pk)] * 2
    )
    assert sorted(LogEntry.objects.values_list("object_id", "change_message", "user")) == sorted(
        (str(message.pk), "Retry. Reason: the customer asked", admin.user.pk) for message in messages
    )


def test_cancel(admin: Client) -> None:
    queued, sent = MessageFactory(), MessageFactory(sent=True)

    page = run_action(admin, "cancel_selected", queued, sent, reason="sent by mistake")

    assert shown(page) == [
        ("success", "1 message canceled."),
        ("warning", "1 message not changed: The message is sent; only a scheduled or queued one can be canceled."),
    ]
    event = MessageEvent.objects.get()
    assert (event.message, event.to_status, event.source, event.detail) == (
        queued,
        "canceled",
        "admin",
        "sent by mistake",
    )


@pytest.mark.parametrize(
    ("name", "status"), [("mark_delivered_selected", "delivered"), ("mark_failed_selected", "failed")]
)
def test_an_unknown_message_is_marked(admin: Client, name: str, status: str) -> None:
    unknown, sent = MessageFactory(status="unknown"), MessageFactory(sent=True)

    page = run_action(admin, name, unknown, sent, reason="asked the provider")

    assert [level for level, _ in shown(page)] == ["success", "warning"]
    unknown.refresh_from_db()
    sent.refresh_from_db()
    assert (unknown.status, sent.status) == (status, "sent")
    assert (unknown.delivered_at is not None) is (status == "delivered")


def test_an_action_on_the_page_of_a_message_returns_to_it(admin: Client) -> None:
    message = MessageFactory(status="failed")
    page = f"{LIST}{message.pk}/change/"

    done = run_action(admin, "retry_selected", message, reason="x", back=page)
    redirected = admin.post(
        LIST,
        {
            "action": "cancel_selected",
            "_selected_action": str(message.pk),
            "reason": "x",
            "back": "https://evil.example/",
        },
    )

    assert done.redirect_chain == [(page, 302)]
    assert redirected.headers["Location"] == LIST


@pytest.mark.parametrize(
    "name", ["retry_selected", "cancel_selected", "mark_delivered_selected", "mark_failed_selected"]
)
def test_a_viewer_is_offered_no_action_and_cannot_run_one(staff: Staff, name: str) -> None:
    viewer = staff("messaging.view_message")
    messages = [MessageFactory(status=status) for status in ("queued", "failed", "unknown")]

    page = viewer.get(f"{LIST}{messages[1].pk}/change/")
    run_action(viewer, name, *messages, reason="x")

    assert b"_selected_action" not in page.content
    assert sorted(Message.objects.values_list("status", flat=True)) == ["failed", "queued", "unknown"]
    assert not LogEntry.objects.exists()


def test_the_page_offers_the_actions_available_for_the_status(admin: Client) -> None:
    offered = {
        status: [a.name for a in admin.get(f"{LIST}{MessageFactory(status=status).pk}/change/").context["page_actions"]]
        for status in ("queued", "failed", "unknown", "canceled")
    }

    assert offered == {
        "queued": ["cancel_selected"],
        "failed": ["retry_selected"],
        "unknown": ["retry_selected", "mark_delivered_selected", "mark_failed_selected"],
        "canceled": [],
    }


def test_a_retry_closes_the_open_attempt(admin: Client) -> None:
    attempt = AttemptFactory(message__status="unknown", outcome="calling", finished_at=None)

    run_action(admin, "retry_selected", attempt.message, reason="x")

    attempt.refresh_from_db()
    assert attempt.outcome == "unknown"
