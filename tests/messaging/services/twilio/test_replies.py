"""Replies that applications give as TwiML."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import tasks
from messaging.models import Message, WebhookDelivery
from messaging.services.recipients import suppressions
from messaging.services.twilio import replies
from messaging.states import Direction
from providers.http.public_addresses import Guard
from tests.factories import (
    NOW,
    AccountFactory,
    ClientEventFactory,
    EndpointFactory,
    MessageFactory,
    PhoneNumberFactory,
    SenderFactory,
    UserFactory,
)
from tests.messaging.services.twilio.applications import OURS, PERSON, result_of, sent, text_of

pytestmark = pytest.mark.django_db


def test_a_reply_goes_to_the_sender_from_the_number_that_received_the_text(owner: User, application) -> None:
    text_of(owner)

    assert application.run("<Message>Thanks!</Message>") == ""

    message = Message.objects.get(direction=Direction.OUTBOUND)
    assert sent() == [(OURS, PERSON, "Thanks!")]
    assert (message.owner, message.queue_id, message.status, message.valid_for) == (owner, "express", "queued", 14_400)
    assert (message.is_automatic, message.callback_url, message.callback_dialect, message.reference) == (
        False,
        "",
        "",
        "",
    )
    assert message.expires_at == NOW + timedelta(seconds=14_400)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.error, delivery.response_status) == ("succeeded", "", 200)


def test_plain_text_is_a_reply(owner: User, application) -> None:
    text_of(owner)
    application.answer, application.content_type = "Thanks!", "text/plain; charset=utf-8"

    assert application.run() == ""

    assert sent() == [(OURS, PERSON, "Thanks!")]


def test_several_messages_leave_in_their_order_to_whom_they_name(owner: User, application) -> None:
    SenderFactory(number="+15005550007", owner=owner)
    SenderFactory(number="Example", owner=owner)
    text_of(owner)

    note = application.run(
        '<Message>1</Message><Message to="+1 (415) 555-0102">2</Message><Sms to="4155550103">3</Sms>'
        '<Message from="+15005550007">4</Message><Message from="Example">5</Message>'
    )

    assert note == ""
    assert sent() == [
        (OURS, PERSON, "1"),
        (OURS, "+14155550102", "2"),
        (OURS, "+14155550103", "3"),
        ("+15005550007", PERSON, "4"),
        ("Example", PERSON, "5"),
    ]


def test_a_status_callback_is_told_in_twilios_form(owner: User, application) -> None:
    text_of(owner)

    note = application.run('<Message statusCallback="/status?a=b">Hi</Message>')

    message = Message.objects.get(direction=Direction.OUTBOUND)
    endpoint = WebhookDelivery.objects.get().endpoint
    assert (note, message.callback_dialect) == ("", "twilio")
    assert message.callback_url == endpoint.url.removesuffix("/hook") + "/status?a=b"


@pytest.mark.parametrize(
    ("status_callback", "reason"),
    [
        ("http://127.0.0.1/", "this is not a public address"),
        ("ftp://app.example.com/", "only http and https addresses are called"),
        ("https://app.example.com/" + "a" * 500, "it is longer than 500 characters"),
    ],
)
def test_without_a_usable_status_callback_the_message_is_sent_all_the_same(
    owner: User, application, status_callback: str, reason: str
) -> None:
    text_of(owner)

    note = application.run(f'<Message statusCallback="{status_callback}">Hi</Message>')

    assert note == f"A `statusCallback` is not called: {reason}."
    assert Message.objects.get(direction=Direction.OUTBOUND).callback_url == ""


def opt_out(_owner: User) -> None:
    suppressions.add_by_keyword(number=PERSON, sender=OURS, reason="STOP", posted_by=None, now=NOW)


def block(_owner: User) -> None:
    PhoneNumberFactory(number=PERSON, inactive=True)


def forbid(owner: User) -> None:
    owner.user_permissions.clear()


def deactivate(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)


@pytest.mark.parametrize(
    ("change", "inner", "note"),
    [
        (opt_out, "<Message>Hi</Message>", "opted out"),
        (block, "<Message>Hi</Message>", "inactive"),
        (forbid, "<Message>Hi</Message>", replies.NO_PERMISSION),
        (deactivate, "<Message>Hi</Message>", replies.NO_PERMISSION),
        (None, '<Message to="whatsapp:+14155550102">Hi</Message>', "international notation"),
        (None, '<Message to="12345">Hi</Message>', "international notation"),
        (None, '<Message from="+15005550009">Hi</Message>', "not one of your senders"),
        (None, '<Message from="A name that is too long">Hi</Message>', "at most 11 characters"),
        (None, f'<Message to="{OURS}">Hi</Message>', "the number that it comes from"),
        (None, f"<Message>{'é€' * 800}</Message>", "segments"),
        (None, "<Message><Media>https://m.example.com/a.png</Media></Message>", replies.NO_MEDIA),
        (None, "<Message>", "not well-formed XML"),
        (None, "<Say>Hi</Say>", "<Say> is ignored."),
        (None, "<Message/>", "A message without text is not sent."),
    ],
)
def test_what_is_not_sent_is_noted_on_the_delivery(
    owner: User, application, change: Callable[[User], None] | None, inner: str, note: str
) -> None:
    text_of(owner)
    if change is not None:
        change(owner)

    assert note in application.run(inner)

    assert sent() == []
    assert len(application.receiver.calls) == 1
    endpoint = WebhookDelivery.objects.get().endpoint
    assert (endpoint.is_enabled, endpoint.failing_since) == (True, None)


def test_one_reply_that_cannot_be_sent_does_not_stop_the_others(owner: User, application) -> None:
    text_of(owner)
    suppressions.add_by_keyword(number="+14155550102", sender="", reason="STOP", posted_by=None, now=NOW)

    note = application.run(
        '<Message>1</Message><Message to="+14155550102">2</Message><Message to="x">3</Message><Message>4</Message>'
    )

    assert [text for _, _, text in sent()] == ["1", "4"]
    assert "opted out" in note
    assert "international notation" in note


@pytest.mark.parametrize("event_type", ["message.delivered", "message.failed"])
def test_the_answer_to_a_status_callback_means_nothing(owner: User, application, event_type: str) -> None:
    message = MessageFactory(
        delivered=True, owner=owner, callback_url="https://app.example.com/", callback_dialect="twilio"
    )
    ClientEventFactory(message=message, type=event_type, snapshot={"status": event_type.removeprefix("message.")})

    assert application.run("<Message>Hi</Message>") == ""

    assert len(sent()) == 1  # the message itself


def test_the_answer_to_a_test_delivery_means_nothing(owner: User, application) -> None:
    endpoint = EndpointFactory(owner=owner, dialect="twilio")
    WebhookDelivery.objects.create(endpoint=endpoint, next_attempt_at=NOW, created_at=NOW)

    assert application.run("<Message>Hi</Message>") == ""

    assert sent() == []


def test_the_answer_of_an_endpoint_of_our_own_form_means_nothing(owner: User) -> None:
    message = text_of(owner)
    result = result_of(message, "<Response><Message>Hi</Message></Response>", dialect="")

    assert replies.obey([result], default_queue="express", guard=Guard(), now=NOW).stored == 0


class TestTheNumberThatReceivedTheText:
    def test_an_accounts_own_number_may_be_used(self, owner: User, application) -> None:
        account = AccountFactory(config={"url": "http://127.0.0.1:9/send", "from_number": "+15005550011"})
        text_of(owner, to_number="+15005550011", provider=account)

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("+15005550011", PERSON, "Hi")]

    def test_a_text_that_names_no_number_is_answered_from_that_of_its_account(self, owner: User, application) -> None:
        account = AccountFactory(config={"url": "http://127.0.0.1:9/send", "from_number": "+15005550011"})
        text_of(owner, to_number="", provider=account)

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("+15005550011", PERSON, "Hi")]

    def test_a_number_that_is_not_ours_is_not_used(self, owner: User, application) -> None:
        text_of(owner, to_number="+15005550012", provider=AccountFactory())

        assert application.run("<Message>Hi</Message>") == ""

        assert sent() == [("", PERSON, "Hi")]

    def test_a_number_of_another_owner_is_not_used(self, owner: User, application) -> None:
        SenderFactory(number="+15005550013", owner=UserFactory())
        text_of(owner, to_number="+15005550013")

        assert "not one of your senders" in application.run("<Message>Hi</Message>")

        assert sent() == []


def test_the_number_of_queries_does_not_depend_on_the_number_of_replies(owner: User) -> None:
    def queries(count: int, inner: str) -> int:
        results = [result_of(text_of(owner), f"<Response>{inner}</Response>") for _ in range(count)]
        with CaptureQueriesContext(connection) as found:
            replies.obey(results, default_queue="express", guard=Guard(), now=NOW)
        return len(found)

    queries(1, "<Message>warm</Message>")

    assert queries(1, "<Message>a</Message>") == queries(5, "<Message>a</Message><Message>b</Message>")


def test_the_task_wires_it_and_notifies_the_queue_after_the_commit(
    owner: User, broker, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks
) -> None:
    message = text_of(owner)
    result = result_of(message, "<Response><Message>Hello</Message></Response>")

    with django_capture_on_commit_callbacks() as callbacks:
        assert tasks.deliverer._obey([result]) == {}
        assert broker.notified == []
    for callback in callbacks:
        callback()

    assert broker.notified == ["express"]
    assert sent() == [(OURS, PERSON, "Hello")]
