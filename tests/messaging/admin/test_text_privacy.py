"""Texts contain one-time passwords: without `view_text` no page or export of the console reveals them."""

import json

import pytest
from django.test import Client

from messaging.services.privacy.callback_fields import callback_fields
from tests.factories import CallbackFactory, MessageFactory
from tests.messaging.admin.conftest import Staff

LIST = "/admin/messaging/message/"
SECRET = "Your code is 471100"


def everything(client: Client) -> str:
    """Return the content of all pages and the export that show a message."""
    message = MessageFactory(text=SECRET, to_number="+14155550101")
    MessageFactory(text=SECRET, inbound=True, from_number="+14155550101", to_number="+15005550006")
    CallbackFactory(message=message, body=json.dumps({"Body": SECRET, "status": "delivered"}))
    CallbackFactory(message=message, body=SECRET)
    export = client.get(f"{LIST}export/")
    assert export.status_code == 200
    pages = [LIST, f"{LIST}?q=%2B14155550101", f"{LIST}?q=Your", f"{LIST}{message.pk}/change/"]
    pages += [f"/admin/messaging/providercallback/{callback.pk}/change/" for callback in message.callbacks.all()]
    pages.append("/admin/messaging/providercallback/")
    return "".join(client.get(page).content.decode() for page in pages) + b"".join(export.streaming_content).decode()


def test_a_viewer_sees_no_text_anywhere(staff: Staff) -> None:
    seen = everything(staff("messaging.view_message", "messaging.view_providercallback"))

    assert "471100" not in seen
    assert "•••••• (19 characters)" in seen


def test_texts_are_shown_with_the_permission(staff: Staff) -> None:
    seen = everything(staff("messaging.view_message", "messaging.view_providercallback", "messaging.view_text"))

    assert seen.count(SECRET) >= 6


@pytest.mark.parametrize("page", ["", "export/"])
@pytest.mark.parametrize(
    "lookup",
    ["text", "text__exact", "text__contains", "text__startswith", "text__regex", "text__gt", "text__in",
     "events__message__text__contains", "owner__password__startswith", "pk__gt", "id"],
)  # fmt: skip
def test_texts_cannot_be_guessed_through_lookups(staff: Staff, page: str, lookup: str) -> None:
    """The lookups are refused for all users, including those who may read texts."""
    MessageFactory(text=SECRET)

    for client in (staff("messaging.view_message"), staff()):
        response = client.get(f"{LIST}{page}", {lookup: "Your"})

        assert response.status_code == 400
        assert "471100" not in response.content.decode()


def test_callback_bodies_cannot_be_guessed_through_lookups(staff: Staff) -> None:
    CallbackFactory(body=SECRET)
    client = staff("messaging.view_providercallback")

    assert client.get("/admin/messaging/providercallback/", {"body__contains": "Your"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('{"id": "7", "token": "abc"}', [("id", "7"), ("token", "••••••")]),
        ('{"a": {"api_key": "abc", "count": 1}}', [("a", '{"api_key": "••••••", "count": 1}')]),
        ('{"a": [{"password": "abc"}]}', [("a", '[{"password": "••••••"}]')]),
        ("MessageSid=SM1&X-Signature=abc", [("MessageSid", "SM1"), ("X-Signature", "••••••")]),
        ("Body=Hi+there&From=%2B1", [("Body", "••••••"), ("From", "+1")]),
        (
            "MessageStatus=failed&ErrorCode=30003&ApiVersion=2010-04-01",
            [("MessageStatus", "failed"), ("ErrorCode", "30003"), ("ApiVersion", "2010-04-01")],
        ),
        (
            '{"src": "+1", "sent_at": "2026-11-22 09:00:00", "final": true, "reason": null}',
            [("src", "+1"), ("sent_at", "2026-11-22 09:00:00"), ("final", "true"), ("reason", "null")],
        ),
        ('{"sms_text": "Your code 1234", "code": 1234}', [("sms_text", "••••••"), ("code", "••••••")]),
        ('{"sms": {"value": "Your code 1234"}}', [("sms", '{"value": "••••••"}')]),
        ('{"messageText": "1234"}', [("messageText", "••••••")]),
        ("SmsBody=1234", [("SmsBody", "••••••")]),
        ('{"messages": ["Your code 1234"], "id": "Your code 1234"}', [("messages", '["••••••"]'), ("id", "••••••")]),
        ('{"a": {"Your code 1234": 1}}', [("a", '{"••••••": "••••••"}')]),
        ("1234=", None),
        ("nonsense", None),
        ("[1]", None),
        ("", None),
    ],
)
def test_a_callback_is_shown_without_secrets_and_without_texts(body: str, fields: list | None) -> None:
    assert callback_fields(body, readable=False) == fields


def test_secrets_are_masked_even_for_users_who_may_read_texts() -> None:
    body = '{"secret": "x", "text": "Hi", "a": {"b c": 1}}'

    assert callback_fields(body, readable=True) == [("secret", "••••••"), ("text", "Hi"), ("a", '{"b c": 1}')]
